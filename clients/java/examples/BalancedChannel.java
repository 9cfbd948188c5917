import dev.rerankd.Documents;
import dev.rerankd.RerankClient;
import dev.rerankd.v1.RerankRequest;
import java.util.Locale;

/**
 * Calls several replicas in turn, over one channel that leaves out those that are not serving.
 *
 * <p>RERANKD_ADDRESS names them: {@code dns:///rerankd:50051}, or {@code ipv4:10.0.0.1:50051,10.0.0.2:50051}.
 */
public final class BalancedChannel {
  private static final String SERVICE = "rerank.v1.RerankService";
  private static final int CALLS = 20;

  /** Runs the example. */
  public static void main(String[] arguments) {
    RerankRequest request =
        RerankRequest.newBuilder()
            .setModel("local/bm25")
            .setQuery("who wrote Dune")
            .addAllDocuments(Documents.of("A desert planet.", "Frank Herbert."))
            .build();
    try (RerankClient client = RerankClient.create()) {
      int answered = 0;
      for (int call = 0; call < CALLS; call++) {
        answered += client.rerank(request).join().getResultsCount() == 2 ? 1 : 0;
      }
      String status = client.health(SERVICE).join().name().toLowerCase(Locale.ROOT);
      System.out.printf("%d of %d calls answered%n", answered, CALLS);
      System.out.printf("%s is %s%n", SERVICE, status);
    }
  }
}
