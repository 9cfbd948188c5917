package dev.rerankd;

import dev.rerankd.v1.BatchItem;
import dev.rerankd.v1.BatchRerankRequest;
import dev.rerankd.v1.BatchRerankResponse;
import dev.rerankd.v1.RerankServiceGrpc;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.Deadline;
import io.grpc.Status;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.ClientResponseObserver;
import java.time.Duration;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;

/**
 * A stream of items and their outcomes; see {@link RerankClient#batchRerank}. Iterate over it once, in one thread, and close
 * it; closing it early cancels what is under way.
 *
 * <p>The iteration throws a {@link RerankException} when the batch itself fails, and what the source throws when that does.
 */
public final class Batch implements Iterable<BatchOutcome>, AutoCloseable {
  private final Channel channel;
  private final BooleanSupplier isClientClosed;
  private final Iterable<BatchItem> items;
  private final BatchSettings settings;
  private final BatchRun run;
  private final BlockingQueue<Event> events = new LinkedBlockingQueue<>();
  private Deadline deadline;
  private Stream stream;
  private boolean isBegun;

  /** What happened on a stream: a message, a failure, or neither, which is its end. Without a stream: the source failed. */
  private record Event(Stream stream, BatchRerankResponse message, Throwable failure) {}

  Batch(Channel channel, BooleanSupplier isClientClosed, Iterable<BatchItem> items, BatchSettings settings) {
    this.channel = channel;
    this.isClientClosed = isClientClosed;
    this.items = items;
    this.settings = settings;
    this.run = new BatchRun(settings);
  }

  /**
   * Starts the batch.
   *
   * @return the outcomes; {@code hasNext} waits for the next one
   */
  @Override
  public Iterator<BatchOutcome> iterator() {
    if (isBegun || run.isClosed()) {
      throw new IllegalStateException("a batch can be iterated over once, before it is closed");
    }
    isBegun = true;
    if (!settings.timeout.isZero()) {
      deadline = Deadline.after(settings.timeout.toNanos(), TimeUnit.NANOSECONDS);
    }
    Thread reader = new Thread(this::read, "rerankd-batch-source");
    reader.setDaemon(true);
    reader.start();
    openStream();
    return new Outcomes();
  }

  /**
   * Returns the totals.
   *
   * @return the totals; empty until the iteration has ended without an error
   */
  public Optional<BatchTotals> summary() {
    return Optional.ofNullable(run.summary());
  }

  /** Cancels what is under way, if anything. */
  @Override
  public void close() {
    run.close();
  }

  /** Takes items from the source while there is room for them. */
  private void read() {
    try {
      Iterator<BatchItem> source = items.iterator();
      while (run.waitForRoom() && source.hasNext()) {
        run.add(source.next());
      }
      run.endSource();
    } catch (InterruptedException stop) {
      run.close();
    } catch (RuntimeException | Error failure) {
      events.add(new Event(null, null, failure));
    }
  }

  private void openStream() {
    CallOptions options = CallOptions.DEFAULT.withDeadline(deadline);
    stream = new Stream();
    ClientCalls.asyncBidiStreamingCall(
        channel.newCall(RerankServiceGrpc.getBatchRerankMethod(), options), stream);
    run.beginStream(stream.requests);
  }

  /** Waits for the next outcome; null: the batch is complete, or closed. */
  private BatchOutcome next() {
    while (!run.isClosed()) {
      Event event = take();
      if (run.isClosed()) {
        return null;
      }
      if (event.stream == null) {
        close();
        throwUnchecked(event.failure);
      }
      if (event.stream != stream) {
        continue;
      }
      if (event.message != null) {
        BatchOutcome outcome = run.receive(event.message);
        stream.requests.request(1);
        if (outcome != null) {
          return outcome;
        }
      } else if (event.failure == null) {
        close();
        return null;
      } else {
        resume(RerankException.of(event.failure));
      }
    }
    return null;
  }

  private Event take() {
    try {
      return events.take();
    } catch (InterruptedException stop) {
      throw interrupted(stop);
    }
  }

  /** Begins another stream after a while, or throws why there is none. */
  private void resume(RerankException failure) {
    Duration delay = isClientClosed.getAsBoolean() ? Duration.ZERO : run.resumeDelay(failure);
    boolean isLate = deadline != null && deadline.timeRemaining(TimeUnit.NANOSECONDS) < delay.toNanos();
    if (delay.isZero() || isLate) {
      close();
      throw failure;
    }
    try {
      if (run.pause(delay)) {
        openStream();
      }
    } catch (InterruptedException stop) {
      throw interrupted(stop);
    }
  }

  private RerankException interrupted(InterruptedException stop) {
    close();
    Thread.currentThread().interrupt();
    return RerankException.of(
        Status.CANCELLED.withDescription("the thread was interrupted").withCause(stop).asRuntimeException());
  }

  private static void throwUnchecked(Throwable failure) {
    if (failure instanceof Error error) {
      throw error;
    }
    throw (RuntimeException) failure;
  }

  /** One stream to the server; its messages are asked for one by one, as they are taken. */
  private final class Stream implements ClientResponseObserver<BatchRerankRequest, BatchRerankResponse> {
    private ClientCallStreamObserver<BatchRerankRequest> requests;

    @Override
    public void beforeStart(ClientCallStreamObserver<BatchRerankRequest> requests) {
      this.requests = requests;
      requests.disableAutoRequestWithInitial(1);
    }

    @Override
    public void onNext(BatchRerankResponse message) {
      events.add(new Event(this, message, null));
    }

    @Override
    public void onError(Throwable failure) {
      events.add(new Event(this, null, failure));
    }

    @Override
    public void onCompleted() {
      events.add(new Event(this, null, null));
    }
  }

  private final class Outcomes implements Iterator<BatchOutcome> {
    private BatchOutcome ready;
    private boolean isOver;

    @Override
    public boolean hasNext() {
      if (ready == null && !isOver) {
        isOver = true;
        ready = Batch.this.next();
        isOver = ready == null;
      }
      return ready != null;
    }

    @Override
    public BatchOutcome next() {
      if (!hasNext()) {
        throw new NoSuchElementException();
      }
      BatchOutcome taken = ready;
      ready = null;
      return taken;
    }
  }
}
