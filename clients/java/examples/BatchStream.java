import dev.rerankd.Batch;
import dev.rerankd.BatchOutcome;
import dev.rerankd.BatchSettings;
import dev.rerankd.BatchTotals;
import dev.rerankd.Documents;
import dev.rerankd.RerankClient;
import dev.rerankd.v1.BatchItem;
import dev.rerankd.v1.Document;
import dev.rerankd.v1.RerankRequest;
import java.util.List;

/** Reranks a stream of items; the one that is not valid fails alone. */
public final class BatchStream {
  private static final List<Document> DOCUMENTS =
      Documents.of("Frank Herbert wrote Dune.", "A desert planet with two moons.");

  /** Runs the example. */
  public static void main(String[] arguments) {
    List<BatchItem> items =
        List.of(item("author", "who wrote Dune"), item("blank", " "), item("planet", "desert planet"));
    BatchSettings settings =
        BatchSettings.DEFAULT
            .defaults(RerankRequest.newBuilder().setModel("local/bm25").build())
            .ordered(true)
            .maxConcurrency(2);
    try (RerankClient client = RerankClient.create();
        Batch batch = client.batchRerank(items, settings)) {
      for (BatchOutcome outcome : batch) {
        System.out.println(outcome.itemId() + ": " + describe(outcome));
      }
      BatchTotals totals = batch.summary().orElseThrow();
      System.out.printf("%d answered, %d failed%n", totals.itemsSucceeded(), totals.itemsFailed());
    }
  }

  private static String describe(BatchOutcome outcome) {
    return outcome
        .error()
        .map(error -> error.reason() + " " + error.fields().get(0).field())
        .orElseGet(() -> "document " + outcome.get().getResults(0).getIndex() + " is the best");
  }

  private static BatchItem item(String id, String query) {
    RerankRequest request = RerankRequest.newBuilder().setQuery(query).addAllDocuments(DOCUMENTS).build();
    return BatchItem.newBuilder().setItemId(id).setRequest(request).build();
  }
}
