// Batch_stream reranks a stream of items; the one that is not valid fails alone.
package main

import (
	"context"
	"fmt"
	"log"

	rerankd "github.com/rerankd/rerankd/clients/go"
	"github.com/rerankd/rerankd/clients/go/rerankv1"
)

var queries = []struct{ name, text string }{
	{"author", "who wrote Dune"}, {"blank", " "}, {"planet", "desert planet"},
}

// items is the source; a batch reads it no faster than results are taken.
func items(yield func(*rerankv1.BatchItem) bool) {
	documents := rerankd.Texts("Frank Herbert wrote Dune.", "A desert planet with two moons.")
	for _, query := range queries {
		request := &rerankv1.RerankRequest{Query: query.text, Documents: documents}
		if !yield(&rerankv1.BatchItem{ItemId: query.name, Request: request}) {
			return
		}
	}
}

func main() {
	client, err := rerankd.New("")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	batch := client.BatchRerank(context.Background(), items, &rerankd.BatchOptions{
		Defaults:       &rerankv1.RerankRequest{Model: "local/bm25"},
		Ordered:        true,
		MaxConcurrency: 2,
	})
	for result, err := range batch.Results() {
		if err != nil {
			log.Fatal(err)
		}
		if result.Err != nil {
			fmt.Printf("%s: %s %s\n", result.ItemID, result.Err.Reason, result.Err.Fields[0].Field)
			continue
		}
		fmt.Printf("%s: document %d is the best\n", result.ItemID, result.Response.GetResults()[0].GetIndex())
	}
	summary := batch.Summary()
	fmt.Printf("%d answered, %d failed\n", summary.ItemsSucceeded, summary.ItemsFailed)
}
