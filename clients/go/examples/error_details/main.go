// Error_details makes three calls that fail, and reads the details of their errors.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	rerankd "github.com/rerankd/rerankd/clients/go"
	"github.com/rerankd/rerankd/clients/go/rerankv1"
)

func main() {
	client, err := rerankd.New("")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx := context.Background()
	var failure *rerankd.Error

	_, err = client.Rerank(ctx, &rerankv1.RerankRequest{Query: "who wrote Dune", TopN: proto.Int32(0)})
	if errors.As(err, &failure) {
		var fields []string
		for _, violation := range failure.Fields {
			fields = append(fields, violation.Field)
		}
		fmt.Printf("%s %s: %s\n", rerankd.CodeName(failure.Code), failure.Reason, strings.Join(fields, ", "))
	}

	_, err = client.GetModel(ctx, "local/bm52")
	if errors.As(err, &failure) {
		fmt.Printf("%s %s: did you mean %s?\n", rerankd.CodeName(failure.Code), failure.Reason, failure.Metadata["suggestion"])
	}

	late, cancel := context.WithTimeout(ctx, time.Microsecond)
	defer cancel()
	_, err = client.Rerank(late, &rerankv1.RerankRequest{Query: "who wrote Dune", Documents: rerankd.Texts("Frank Herbert.")})
	if errors.Is(err, context.DeadlineExceeded) && errors.As(err, &failure) {
		fmt.Printf("%s %s\n", rerankd.CodeName(failure.Code), failure.Reason)
	}
}
