import com.google.gson.FieldNamingPolicy;
import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import dev.rerankd.Batch;
import dev.rerankd.BatchOutcome;
import dev.rerankd.BatchSettings;
import dev.rerankd.Builder;
import dev.rerankd.Documents;
import dev.rerankd.RerankClient;
import dev.rerankd.RerankException;
import dev.rerankd.v1.BatchItem;
import dev.rerankd.v1.RerankRequest;
import dev.rerankd.v1.RerankResponse;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletionException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;

/** Obeys the commands of tests/clients/fault_script.py with this client. */
public final class FaultProgram {
  private static final int MAX_ERRORS = 5;
  private static final Gson GSON =
      new GsonBuilder().setFieldNamingPolicy(FieldNamingPolicy.LOWER_CASE_WITH_UNDERSCORES).serializeNulls().create();

  private RerankClient client = RerankClient.create();

  private static final class Command {
    private String apiKey;
    private String caFile;
    private String target;
    private Double timeoutS;
    private String model;
    private String query;
    private List<String> queries;
    private List<String> documents;
    private double seconds;
    private int workers;
    private double pauseMs;
    private int maxConcurrency;
    private Integer leaveAfter;

    private RerankRequest request(String query) {
      return RerankRequest.newBuilder()
          .setModel(model)
          .setQuery(query)
          .addAllDocuments(Documents.of(documents))
          .build();
    }
  }

  private record Failure(
      String code,
      String reason,
      String message,
      Map<String, String> metadata,
      List<List<String>> fields,
      List<List<String>> quota,
      Double retryAfterS,
      String requestId) {
    private static Failure of(Throwable thrown) {
      RerankException error = RerankException.of(thrown);
      return new Failure(
          error.code().name(),
          error.reason(),
          error.getMessage(),
          error.metadata(),
          error.fields().stream().map(each -> List.of(each.field(), each.description())).toList(),
          error.quota().stream().map(each -> List.of(each.subject(), each.description())).toList(),
          error.retryAfter().map(after -> after.toNanos() / 1e9).orElse(null),
          error.requestId().orElse(""));
    }
  }

  private FaultProgram() {}

  /** Reads commands until the input ends. */
  public static void main(String[] arguments) throws Exception {
    FaultProgram program = new FaultProgram();
    BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = input.readLine(); line != null; line = input.readLine()) {
      String verb = GSON.fromJson(line, Map.class).get("do").toString();
      Command given = GSON.fromJson(line, Command.class);
      Object reply =
          switch (verb) {
            case "open" -> program.open(given);
            case "rerank" -> program.rerank(given);
            case "load" -> program.load(given);
            case "batch" -> program.batch(given);
            default -> throw new IllegalArgumentException(verb);
          };
      System.out.println(GSON.toJson(reply));
    }
    program.client.close();
  }

  private Map<String, Object> open(Command given) throws IOException {
    client.close();
    Builder builder = RerankClient.builder().target(given.target).apiKey(given.apiKey).timeout(seconds(given.timeoutS));
    if (!given.caFile.isEmpty()) {
      builder.tls(Path.of(given.caFile));
    }
    client = builder.build();
    return Map.of();
  }

  private static Duration seconds(double count) {
    return Duration.ofNanos((long) (count * 1e9));
  }

  private Map<String, Object> rerank(Command given) {
    RerankClient caller = given.timeoutS == null ? client : client.withTimeout(seconds(given.timeoutS));
    try {
      RerankResponse response = caller.rerank(given.request(given.query)).join();
      return Map.of(
          "results",
          response.getResultsList().stream().map(each -> List.of(each.getIndex(), each.getRelevanceScore())).toList());
    } catch (CompletionException failure) {
      return Map.of("error", Failure.of(failure));
    }
  }

  private Map<String, Object> load(Command given) throws InterruptedException {
    long endNs = System.nanoTime() + seconds(given.seconds).toNanos();
    AtomicInteger answered = new AtomicInteger();
    List<Failure> errors = new ArrayList<>();
    Runnable work =
        () -> {
          while (System.nanoTime() < endNs) {
            try {
              client.rerank(given.request(given.query)).join();
              answered.incrementAndGet();
            } catch (CompletionException failure) {
              synchronized (errors) {
                errors.add(Failure.of(failure));
              }
            }
            sleep((long) given.pauseMs);
          }
        };
    List<Thread> threads = IntStream.range(0, given.workers).mapToObj(number -> new Thread(work)).toList();
    threads.forEach(Thread::start);
    for (Thread thread : threads) {
      thread.join();
    }
    List<Failure> first = errors.subList(0, Math.min(MAX_ERRORS, errors.size()));
    return Map.of("answered", answered, "failed", errors.size(), "errors", first);
  }

  private static void sleep(long milliseconds) {
    try {
      Thread.sleep(milliseconds);
    } catch (InterruptedException stop) {
      throw new IllegalStateException(stop);
    }
  }

  private Map<String, Object> batch(Command given) {
    AtomicInteger read = new AtomicInteger();
    Iterable<BatchItem> items =
        IntStream.range(0, given.queries.size())
                .mapToObj(
                    number -> {
                      read.incrementAndGet();
                      RerankRequest request = given.request(given.queries.get(number));
                      return BatchItem.newBuilder().setItemId("" + number).setRequest(request).build();
                    })
            ::iterator;
    BatchSettings settings =
        BatchSettings.DEFAULT
            .defaults(RerankRequest.newBuilder().setModel(given.model).build())
            .maxConcurrency(given.maxConcurrency);
    List<String> answered = new ArrayList<>();
    Map<String, Failure> failed = new LinkedHashMap<>();
    Map<String, Object> reply = new LinkedHashMap<>();
    try (Batch batch = client.batchRerank(items, settings)) {
      for (BatchOutcome outcome : batch) {
        outcome.response().ifPresent(response -> answered.add(outcome.itemId()));
        outcome.error().ifPresent(error -> failed.put(outcome.itemId(), Failure.of(error)));
        if (given.leaveAfter != null && answered.size() + failed.size() == given.leaveAfter) {
          break;
        }
      }
      reply.put("received", batch.summary().map(totals -> totals.itemsReceived()).orElse(null));
    } catch (RerankException failure) {
      reply.put("error", Failure.of(failure));
    }
    reply.put("answered", answered);
    reply.put("failed", failed);
    reply.put("read", read);
    return reply;
  }
}
