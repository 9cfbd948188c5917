// List_models lists the embedded models, then looks at one of them.
package main

import (
	"context"
	"fmt"
	"log"
	"strings"

	rerankd "github.com/rerankd/rerankd/clients/go"
)

func main() {
	client, err := rerankd.New("")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx := context.Background()
	for model, err := range client.ListModels(ctx, "local") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(model.GetName(), word(model.GetScoring().String(), "SCORING_"))
	}
	model, err := client.GetModel(ctx, "local/bm25")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("scores of %s are %s\n", model.GetName(), word(model.GetScoreSpace().String(), "SCORE_SPACE_"))
}

// word returns the name of an enum's value as JSON writes it.
func word(name, prefix string) string { return strings.ToLower(strings.TrimPrefix(name, prefix)) }
