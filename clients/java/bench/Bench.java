import com.sun.management.OperatingSystemMXBean;
import dev.rerankd.Documents;
import dev.rerankd.RerankClient;
import dev.rerankd.v1.RerankRequest;
import dev.rerankd.v1.RerankServiceGrpc;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import java.lang.management.ManagementFactory;
import java.util.Arrays;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Compares calls through the client with calls through the bare generated stub: time, and CPU of this process.
 *
 * <p>Rounds of both alternate, so that what else the machine does falls on both; the medians of the rounds' ratios are
 * printed. The server is that of RERANKD_ADDRESS; arguments: pairs of rounds (15), calls of a round (3000).
 */
public final class Bench {
  private static final int WORKERS = 8;
  private static final int WARM_UP = 5;

  private record Cost(double wallNs, double cpuNs) {}

  /** Runs the comparison. */
  public static void main(String[] arguments) throws Exception {
    int rounds = arguments.length > 0 ? Integer.parseInt(arguments[0]) : 15;
    int calls = arguments.length > 1 ? Integer.parseInt(arguments[1]) : 3000;
    String target = System.getenv().getOrDefault("RERANKD_ADDRESS", RerankClient.DEFAULT_ADDRESS);
    ManagedChannel channel = Grpc.newChannelBuilder(target, InsecureChannelCredentials.create()).build();
    var stub = RerankServiceGrpc.newFutureStub(channel);
    RerankRequest request =
        RerankRequest.newBuilder()
            .setModel("local/bm25")
            .setQuery("who wrote Dune")
            .addAllDocuments(Documents.of("A desert planet.", "Frank Herbert.", "Two moons.", "A novel of 1965."))
            .build();
    double[] wall = new double[rounds];
    double[] cpu = new double[rounds];
    double bareWallNs = 0;
    double bareCpuNs = 0;
    try (RerankClient client = RerankClient.create()) {
      for (int round = -WARM_UP; round < rounds; round++) {
        Cost bare = measure(() -> stub.withDeadlineAfter(30, TimeUnit.SECONDS).rerank(request).get(), calls);
        Cost own = measure(() -> client.rerank(request).get(), calls);
        if (round >= 0) {
          wall[round] = bare.wallNs / own.wallNs;
          cpu[round] = own.cpuNs / bare.cpuNs;
          bareWallNs += bare.wallNs;
          bareCpuNs += bare.cpuNs;
        }
      }
    }
    channel.shutdownNow();
    double total = (double) rounds * calls;
    System.out.printf("stub: %.0f calls/s, %.0f us of CPU a call%n", total / bareWallNs * 1e9, bareCpuNs / total / 1e3);
    System.out.printf(
        "client: %.2f of the stub's calls a second, %.2f of its CPU a call%n", median(wall), median(cpu));
  }

  private interface Call {
    Object make() throws Exception;
  }

  /** Makes calls, some at once; returns what all of them took. */
  private static Cost measure(Call call, int calls) throws InterruptedException {
    AtomicInteger left = new AtomicInteger(calls);
    Thread[] workers = new Thread[WORKERS];
    long startedNs = System.nanoTime();
    long startedCpuNs = cpuNs();
    for (int number = 0; number < WORKERS; number++) {
      workers[number] = new Thread(() -> work(call, left));
      workers[number].start();
    }
    for (Thread worker : workers) {
      worker.join();
    }
    return new Cost(System.nanoTime() - startedNs, cpuNs() - startedCpuNs);
  }

  private static void work(Call call, AtomicInteger left) {
    try {
      while (left.decrementAndGet() >= 0) {
        call.make();
      }
    } catch (Exception failure) {
      throw new IllegalStateException(failure);
    }
  }

  private static long cpuNs() {
    return ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
  }

  private static double median(double[] values) {
    Arrays.sort(values);
    return values[values.length / 2];
  }
}
