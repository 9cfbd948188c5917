import dev.rerankd.Documents;
import dev.rerankd.RerankClient;
import dev.rerankd.v1.RerankRequest;
import dev.rerankd.v1.RerankResponse;
import dev.rerankd.v1.RerankResult;
import java.util.Locale;
import java.util.Map;

/** Reranks a string, a document with an id, and structured content, and prints the best two. */
public final class RerankDocuments {
  record Article(String title, String review) {}

  /** Runs the example. */
  public static void main(String[] arguments) {
    try (RerankClient client = RerankClient.create()) {
      RerankRequest request =
          RerankRequest.newBuilder()
              .setQuery("who wrote Dune")
              .addAllDocuments(
                  Documents.of(
                      "A desert planet with two moons.",
                      Map.of("id", "herbert", "text", "Frank Herbert wrote Dune in 1965."),
                      new Article("Dune", "A novel about a desert planet.")))
              .setModel("local/bm25")
              .addRankFields("title")
              .addRankFields("review")
              .setTopN(2)
              .setReturnDocuments(true)
              .build();
      RerankResponse response = client.rerank(request).join();
      int rank = 0;
      for (RerankResult result : response.getResultsList()) {
        String id = result.getDocument().getId();
        System.out.printf(
            Locale.ROOT,
            "%d. document %d %s %.3f%n",
            ++rank, result.getIndex(), id.isEmpty() ? "-" : id, result.getRelevanceScore());
      }
      System.out.printf("%d documents by %s%n", response.getUsage().getDocuments(), response.getModel());
    }
  }
}
