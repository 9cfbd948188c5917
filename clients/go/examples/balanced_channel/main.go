// Balanced_channel calls several replicas in turn, over one channel that leaves out those that are not serving.
//
// RERANKD_ADDRESS names them: `dns:///rerankd:50051`, or `ipv4:10.0.0.1:50051,10.0.0.2:50051`.
package main

import (
	"context"
	"fmt"
	"log"
	"strings"

	rerankd "github.com/rerankd/rerankd/clients/go"
	"github.com/rerankd/rerankd/clients/go/rerankv1"
)

const service = "rerank.v1.RerankService"

func main() {
	client, err := rerankd.New("")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx := context.Background()
	request := &rerankv1.RerankRequest{
		Model:     "local/bm25",
		Query:     "who wrote Dune",
		Documents: rerankd.Texts("A desert planet.", "Frank Herbert."),
	}
	answered := 0
	for range 20 {
		response, err := client.Rerank(ctx, request)
		if err != nil {
			log.Fatal(err)
		}
		if len(response.GetResults()) == 2 {
			answered++
		}
	}
	status, err := client.Health(ctx, service)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d of 20 calls answered\n", answered)
	fmt.Printf("%s is %s\n", service, strings.ToLower(status.String()))
}
