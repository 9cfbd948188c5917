package dev.rerankd;

import dev.rerankd.v1.BatchItem;
import dev.rerankd.v1.GetModelRequest;
import dev.rerankd.v1.GetModelResponse;
import dev.rerankd.v1.ListModelsRequest;
import dev.rerankd.v1.Model;
import dev.rerankd.v1.RerankRequest;
import dev.rerankd.v1.RerankResponse;
import dev.rerankd.v1.RerankServiceGrpc;
import dev.rerankd.v1.WarmDocumentsRequest;
import dev.rerankd.v1.WarmDocumentsResponse;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientInterceptors;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.health.v1.HealthCheckRequest;
import io.grpc.health.v1.HealthCheckResponse;
import io.grpc.health.v1.HealthGrpc;
import io.grpc.stub.MetadataUtils;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;

/**
 * Calls a rerank service. It connects on the first call and again whenever a connection is lost. One client serves any
 * number of threads; make one and keep it.
 *
 * <p>A call's future fails with a {@link RerankException} ({@code join} and {@code get} wrap it; see {@link
 * RerankException#of}), and cancelling the future, not one made of it, cancels the call. Calls have the client's timeout,
 * and end earlier where {@code io.grpc.Context} has a deadline. Futures complete on a thread of gRPC's: do not block
 * there.
 */
public final class RerankClient implements AutoCloseable {
  /** Called where neither {@link Builder#target} nor the environment names a server. */
  public static final String DEFAULT_ADDRESS = "127.0.0.1:50051";

  /** The environment variable with the target of clients that name none. */
  public static final String ADDRESS_VARIABLE = "RERANKD_ADDRESS";

  /** The environment variable with the API key of clients that have none. */
  public static final String API_KEY_VARIABLE = "RERANKD_API_KEY";

  /** Version of this library, sent in the user agent. */
  public static final String VERSION = "0.1.0";

  private static final long CLOSES_WITHIN_S = 5;

  private final Builder settings;
  private final ManagedChannel connection;
  private final Channel channel;
  private final Duration timeout;

  RerankClient(Builder settings) {
    this.settings = settings;
    this.connection = settings.connect(true);
    this.channel = settings.intercept(connection);
    this.timeout = settings.timeout();
  }

  private RerankClient(RerankClient other, Channel channel, Duration timeout) {
    this.settings = other.settings;
    this.connection = other.connection;
    this.channel = channel;
    this.timeout = timeout;
  }

  /**
   * Returns a builder with the defaults.
   *
   * @return the builder
   */
  public static Builder builder() {
    return new Builder();
  }

  /**
   * Returns a client of {@code RERANKD_ADDRESS}, or else of {@value #DEFAULT_ADDRESS}, with the key in {@code
   * RERANKD_API_KEY}.
   *
   * @return the client
   */
  public static RerankClient create() {
    return builder().build();
  }

  /**
   * Returns this client with another timeout; both share their connections, and closing one closes both.
   *
   * @param timeout of each call but batches; zero: none
   * @return the client
   */
  public RerankClient withTimeout(Duration timeout) {
    return new RerankClient(this, channel, Builder.checked(timeout));
  }

  /**
   * Returns this client with more metadata; both share their connections, and closing one closes both.
   *
   * @param metadata sent with every call; {@code x-request-id} names a call in the server's log
   * @return the client
   */
  public RerankClient withMetadata(Metadata metadata) {
    Channel more = ClientInterceptors.intercept(channel, MetadataUtils.newAttachHeadersInterceptor(metadata));
    return new RerankClient(this, more, timeout);
  }

  /**
   * Returns the channel, for stubs of the server's other services; their calls have the key and metadata, and {@link
   * RerankException#of} decodes their failures. They set their own deadlines.
   *
   * @return the channel
   */
  public Channel channel() {
    return channel;
  }

  /**
   * Scores every document against the query.
   *
   * @param request query, documents and options
   * @return the best documents, best first
   */
  public CompletableFuture<RerankResponse> rerank(RerankRequest request) {
    return UnaryCall.start(channel, RerankServiceGrpc.getRerankMethod(), options(), request, Function.identity());
  }

  /**
   * Computes the vectors of documents ahead, so that later calls with them cost little more than the query.
   *
   * @param request the documents and the model
   * @return what was computed
   */
  public CompletableFuture<WarmDocumentsResponse> warmDocuments(WarmDocumentsRequest request) {
    return UnaryCall.start(channel, RerankServiceGrpc.getWarmDocumentsMethod(), options(), request, Function.identity());
  }

  /**
   * Returns one model.
   *
   * @param name its name or an alias
   * @return the model
   */
  public CompletableFuture<Model> getModel(String name) {
    GetModelRequest request = GetModelRequest.newBuilder().setModel(name).build();
    return UnaryCall.start(
        channel, RerankServiceGrpc.getGetModelMethod(), options(), request, GetModelResponse::getModel);
  }

  /**
   * Returns the models a caller may name, by name. The timeout is for each page, and cancelling the future leaves the page
   * under way to end by itself.
   *
   * @param provider whose models; empty: of all
   * @return the models
   */
  public CompletableFuture<List<Model>> listModels(String provider) {
    return morePages(ListModelsRequest.newBuilder().setProvider(provider), new ArrayList<>());
  }

  private CompletableFuture<List<Model>> morePages(ListModelsRequest.Builder next, List<Model> found) {
    return UnaryCall.start(channel, RerankServiceGrpc.getListModelsMethod(), options(), next.build(), Function.identity())
        .thenCompose(
            page -> {
              found.addAll(page.getModelsList());
              return page.getNextPageToken().isEmpty()
                  ? CompletableFuture.completedFuture(found)
                  : morePages(next.setPageToken(page.getNextPageToken()), found);
            });
  }

  /**
   * Reranks a stream of items; iterate over the batch, once, and close it. Items that fail do not affect the others.
   *
   * <p>Items are read in another thread, only as fast as results are taken: at most twice the batch's concurrency (64
   * where it is not set) are unanswered at one time. A stream that breaks, because a worker, a server or the connection is
   * gone, is followed by another one for the items not answered yet; each item is answered once.
   *
   * @param items the source, such as a list, or {@code stream::iterator}
   * @param settings how it is run
   * @return the batch, which starts when it is iterated over
   */
  public Batch batchRerank(Iterable<BatchItem> items, BatchSettings settings) {
    return new Batch(channel, connection::isShutdown, items, settings);
  }

  /**
   * Asks the standard health service. It takes a connection of its own, because calls go to no server that is not serving.
   *
   * @param service its name, such as {@code rerank.v1.RerankService}; empty: the server as a whole
   * @return whether it is serving
   */
  public CompletableFuture<HealthCheckResponse.ServingStatus> health(String service) {
    ManagedChannel own = settings.connect(false);
    HealthCheckRequest request = HealthCheckRequest.newBuilder().setService(service).build();
    CompletableFuture<HealthCheckResponse.ServingStatus> status =
        UnaryCall.start(
            settings.intercept(own), HealthGrpc.getCheckMethod(), options(), request, HealthCheckResponse::getStatus);
    status.whenComplete((serving, failure) -> own.shutdownNow());
    return status;
  }

  private CallOptions options() {
    return timeout.isZero()
        ? CallOptions.DEFAULT
        : CallOptions.DEFAULT.withDeadlineAfter(timeout.toNanos(), TimeUnit.NANOSECONDS);
  }

  /** Closes the connections; calls under way are cancelled. */
  @Override
  public void close() {
    connection.shutdownNow();
    try {
      connection.awaitTermination(CLOSES_WITHIN_S, TimeUnit.SECONDS);
    } catch (InterruptedException stop) {
      Thread.currentThread().interrupt();
    }
  }
}
