// Rerank_documents reranks a string, a document with an id, and structured content, and prints the best two.
package main

import (
	"context"
	"fmt"
	"log"

	"google.golang.org/protobuf/proto"

	rerankd "github.com/rerankd/rerankd/clients/go"
	"github.com/rerankd/rerankd/clients/go/rerankv1"
)

type article struct {
	Title  string `json:"title"`
	Review string `json:"review"`
}

func main() {
	client, err := rerankd.New("")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	documents, err := rerankd.Documents(
		"A desert planet with two moons.",
		map[string]any{"id": "herbert", "text": "Frank Herbert wrote Dune in 1965."},
		article{Title: "Dune", Review: "A novel about a desert planet."},
	)
	if err != nil {
		log.Fatal(err)
	}
	response, err := client.Rerank(context.Background(), &rerankv1.RerankRequest{
		Query:           "who wrote Dune",
		Documents:       documents,
		Model:           "local/bm25",
		RankFields:      []string{"title", "review"},
		TopN:            proto.Int32(2),
		ReturnDocuments: proto.Bool(true),
	})
	if err != nil {
		log.Fatal(err)
	}
	for rank, result := range response.GetResults() {
		name := result.GetDocument().GetId()
		if name == "" {
			name = "-"
		}
		fmt.Printf("%d. document %d %s %.3f\n", rank+1, result.GetIndex(), name, result.GetRelevanceScore())
	}
	fmt.Printf("%d documents by %s\n", response.GetUsage().GetDocuments(), response.GetModel())
}
