// Package rerankd is the client of the rerank service: it orders documents by their relevance to a query.
//
//	client, err := rerankd.New("localhost:50051", rerankd.WithAPIKey(key))
//	if err != nil {
//		return err
//	}
//	defer client.Close()
//	response, err := client.Rerank(ctx, &rerankv1.RerankRequest{
//		Query:     "who wrote Dune?",
//		Documents: rerankd.Texts("A desert planet.", "Frank Herbert wrote it."),
//	})
//
// Requests and responses are the generated messages of package rerankv1. Calls that fail return an [*Error]
// with the details the server sends. Retries, load balancing and health checks are those of gRPC, by one policy for the
// clients of all languages.
package rerankd
