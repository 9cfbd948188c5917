package dev.rerankd;

import dev.rerankd.v1.BatchItemResult;
import dev.rerankd.v1.BatchRerankRequest;
import dev.rerankd.v1.BatchRerankResponse;
import dev.rerankd.v1.BatchSummary;
import dev.rerankd.v1.GetModelRequest;
import dev.rerankd.v1.GetModelResponse;
import dev.rerankd.v1.ListModelsRequest;
import dev.rerankd.v1.ListModelsResponse;
import dev.rerankd.v1.Model;
import dev.rerankd.v1.RerankRequest;
import dev.rerankd.v1.RerankResponse;
import dev.rerankd.v1.RerankServiceGrpc;
import dev.rerankd.v1.Usage;
import io.grpc.Context;
import io.grpc.Deadline;
import io.grpc.Grpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.Metadata;
import io.grpc.Server;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.StatusRuntimeException;
import io.grpc.health.v1.HealthCheckResponse;
import io.grpc.protobuf.services.HealthStatusManager;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;

/** A server on a free port of loopback that fails as a test says. */
final class TestServer extends RerankServiceGrpc.RerankServiceImplBase implements ServerInterceptor, AutoCloseable {
  final CountDownLatch cancelled = new CountDownLatch(1);
  final CountDownLatch silentCalls = new CountDownLatch(1);
  final AtomicInteger streams = new AtomicInteger();
  volatile StatusRuntimeException failure;
  volatile boolean isSilent;

  /** The first stream breaks with the failure when so many items are answered, and later ones at once, or never. */
  volatile int breaksAfter = Integer.MAX_VALUE;

  volatile boolean breaksAlways;
  volatile Metadata headers;
  volatile Deadline deadline;

  private final Server server;

  TestServer() throws IOException {
    HealthStatusManager health = new HealthStatusManager();
    health.setStatus(RerankServiceGrpc.SERVICE_NAME, HealthCheckResponse.ServingStatus.SERVING);
    server =
        Grpc.newServerBuilderForPort(0, InsecureServerCredentials.create())
            .addService(this)
            .addService(health.getHealthService())
            .intercept(this)
            .build()
            .start();
  }

  RerankClient connect() {
    return builder().build();
  }

  Builder builder() {
    return RerankClient.builder().target("127.0.0.1:" + server.getPort());
  }

  @Override
  public <Q, R> ServerCall.Listener<Q> interceptCall(
      ServerCall<Q, R> call, Metadata headers, ServerCallHandler<Q, R> next) {
    this.headers = headers;
    return next.startCall(call, headers);
  }

  @Override
  public void rerank(RerankRequest request, StreamObserver<RerankResponse> responses) {
    deadline = Context.current().getDeadline();
    if (failure != null) {
      responses.onError(failure);
    } else if (isSilent) {
      keepSilent();
    } else {
      responses.onNext(RerankResponse.newBuilder().setModel(request.getModel()).build());
      responses.onCompleted();
    }
  }

  /** Never answers. */
  @Override
  public void getModel(GetModelRequest request, StreamObserver<GetModelResponse> responses) {
    keepSilent();
  }

  private void keepSilent() {
    Context.current().addListener(ended -> cancelled.countDown(), Runnable::run);
    silentCalls.countDown();
  }

  @Override
  public void listModels(ListModelsRequest request, StreamObserver<ListModelsResponse> responses) {
    ListModelsResponse.Builder page = ListModelsResponse.newBuilder();
    if (request.getPageToken().isEmpty()) {
      page.addModels(model("a")).addModels(model("b")).setNextPageToken("2");
    } else {
      page.addModels(model("c"));
    }
    responses.onNext(page.build());
    responses.onCompleted();
  }

  private static Model model(String name) {
    return Model.newBuilder().setName(name).build();
  }

  @Override
  public StreamObserver<BatchRerankRequest> batchRerank(StreamObserver<BatchRerankResponse> responses) {
    boolean isFirst = streams.incrementAndGet() == 1;
    int limit = isFirst ? breaksAfter : breaksAlways ? 0 : Integer.MAX_VALUE;
    return new Answering(limit, responses);
  }

  @Override
  public void close() {
    server.shutdownNow();
  }

  private final class Answering implements StreamObserver<BatchRerankRequest> {
    private final int limit;
    private final StreamObserver<BatchRerankResponse> responses;
    private int received;
    private boolean isBroken;

    Answering(int limit, StreamObserver<BatchRerankResponse> responses) {
      this.limit = limit;
      this.responses = responses;
    }

    @Override
    public void onNext(BatchRerankRequest message) {
      if (!message.hasItem() || isBroken) {
        return;
      }
      if (received == limit) {
        isBroken = true;
        responses.onError(failure);
        return;
      }
      RerankResponse answer =
          RerankResponse.newBuilder().setUsage(Usage.newBuilder().setDocuments(1).setCost(0.5)).build();
      BatchItemResult.Builder result =
          BatchItemResult.newBuilder().setItemId(message.getItem().getItemId()).setItemIndex(received++);
      responses.onNext(BatchRerankResponse.newBuilder().setItem(result.setResponse(answer)).build());
    }

    @Override
    public void onError(Throwable cause) {
      cancelled.countDown();
    }

    @Override
    public void onCompleted() {
      if (isBroken) {
        return;
      }
      Usage used = Usage.newBuilder().setDocuments(received).setCost(0.5 * received).build();
      BatchSummary summary =
          BatchSummary.newBuilder().setItemsReceived(received).setItemsSucceeded(received).setUsage(used).build();
      responses.onNext(BatchRerankResponse.newBuilder().setSummary(summary).build());
      responses.onCompleted();
    }
  }
}
