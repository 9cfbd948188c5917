import dev.rerankd.Documents;
import dev.rerankd.RerankClient;
import dev.rerankd.RerankException;
import dev.rerankd.v1.RerankRequest;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.stream.Collectors;

/** Makes three calls that fail, and reads the details of their errors. */
public final class ErrorDetails {
  /** Runs the example. */
  public static void main(String[] arguments) {
    try (RerankClient client = RerankClient.create()) {
      RerankRequest request = RerankRequest.newBuilder().setQuery("who wrote Dune").build();

      RerankException invalid = failureOf(client.rerank(request.toBuilder().setTopN(0).build()));
      String fields = invalid.fields().stream().map(each -> each.field()).collect(Collectors.joining(", "));
      System.out.println(name(invalid) + ": " + fields);

      RerankException unknown = failureOf(client.getModel("local/bm52"));
      System.out.println(name(unknown) + ": did you mean " + unknown.metadata().get("suggestion") + "?");

      RerankRequest valid = request.toBuilder().addAllDocuments(Documents.of("Frank Herbert.")).build();
      System.out.println(name(failureOf(client.withTimeout(Duration.ofNanos(1000)).rerank(valid))));
    }
  }

  private static String name(RerankException failure) {
    return failure.code() + " " + failure.reason();
  }

  private static RerankException failureOf(CompletableFuture<?> call) {
    try {
      throw new IllegalStateException("the call was answered: " + call.join());
    } catch (CompletionException failure) {
      return RerankException.of(failure);
    }
  }
}
