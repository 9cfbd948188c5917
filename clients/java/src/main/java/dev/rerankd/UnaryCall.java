package dev.rerankd;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.MethodDescriptor;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.StreamObserver;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;

/** A call that answers once, as a future; the cancellation of either is that of the other. */
final class UnaryCall<T, R> extends CompletableFuture<R> implements StreamObserver<T> {
  private final ClientCall<?, T> call;
  private final Function<T, R> read;
  private T answer;

  private UnaryCall(ClientCall<?, T> call, Function<T, R> read) {
    this.call = call;
    this.read = read;
  }

  /** Starts a call; the future has what is read of its answer. */
  static <Q, T, R> UnaryCall<T, R> start(
      Channel channel, MethodDescriptor<Q, T> method, CallOptions options, Q request, Function<T, R> read) {
    ClientCall<Q, T> call = channel.newCall(method, options);
    UnaryCall<T, R> started = new UnaryCall<>(call, read);
    ClientCalls.asyncUnaryCall(call, request, started);
    return started;
  }

  @Override
  public void onNext(T message) {
    answer = message;
  }

  @Override
  public void onError(Throwable failure) {
    completeExceptionally(RerankException.of(failure));
  }

  @Override
  public void onCompleted() {
    complete(read.apply(answer));
  }

  @Override
  public boolean cancel(boolean mayInterruptIfRunning) {
    boolean isCancelled = super.cancel(mayInterruptIfRunning);
    if (isCancelled) {
      call.cancel("the future was cancelled", null);
    }
    return isCancelled;
  }
}
