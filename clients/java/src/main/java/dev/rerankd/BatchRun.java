package dev.rerankd;

import dev.rerankd.v1.BatchItem;
import dev.rerankd.v1.BatchItemResult;
import dev.rerankd.v1.BatchOptions;
import dev.rerankd.v1.BatchProgress;
import dev.rerankd.v1.BatchRerankRequest;
import dev.rerankd.v1.BatchRerankResponse;
import dev.rerankd.v1.BatchSummary;
import io.grpc.Status;
import io.grpc.stub.ClientCallStreamObserver;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ThreadLocalRandom;

/**
 * The bookkeeping of a batch over all its streams: what is unanswered, and whether a broken stream is resumed. One thread
 * reads the source, and one iterates; either sends what there is to send.
 */
final class BatchRun {
  private static final int DEFAULT_WINDOW = 64;

  /** Most resumes before the first answer: a server that never answered is missing, or the wrong one. */
  private static final int RESUMES_UNANSWERED = 2;

  private static final long FIRST_DELAY_MS = 200;
  private static final long LONGEST_DELAY_MS = 5000;
  private static final int MOST_DOUBLINGS = 8;
  private static final Set<Status.Code> BREAKS =
      Set.of(Status.Code.UNAVAILABLE, Status.Code.CANCELLED, Status.Code.INTERNAL, Status.Code.UNKNOWN);

  private final BatchSettings settings;
  private final int window;
  private final long startedNs = System.nanoTime();
  private final TreeMap<Integer, Unanswered> unanswered = new TreeMap<>();
  private final Deque<Integer> outbox = new ArrayDeque<>();

  /** Index in the source by position on the stream. */
  private final Map<Integer, Integer> sent = new HashMap<>();

  private ClientCallStreamObserver<BatchRerankRequest> requests;
  private boolean isHalfClosed;
  private boolean isSourceOver;
  private boolean isClosed;
  private int items;
  private int sentHere;
  private int streams;
  private int fruitless;
  private BatchTotals before = BatchTotals.NONE;
  private BatchTotals answered = BatchTotals.NONE;
  private BatchTotals summary;

  private static final class Unanswered {
    private final BatchItem item;
    private int sends;

    Unanswered(BatchItem item) {
      this.item = item;
    }
  }

  BatchRun(BatchSettings settings) {
    this.settings = settings;
    // Twice what is under way, so that the server always has the next item at hand.
    this.window = settings.maxConcurrency == 0 ? DEFAULT_WINDOW : 2 * settings.maxConcurrency;
  }

  synchronized BatchTotals summary() {
    return summary;
  }

  synchronized boolean isClosed() {
    return isClosed;
  }

  /** Ends the batch: nothing is sent any more, and nobody waits. */
  synchronized void close() {
    if (!isClosed) {
      isClosed = true;
      if (requests != null) {
        requests.cancel("the batch was closed", null);
      }
      notifyAll();
    }
  }

  /** Waits until another item may be read; false: none will be. */
  synchronized boolean waitForRoom() throws InterruptedException {
    while (unanswered.size() >= window && !isClosed) {
      wait();
    }
    return !isClosed;
  }

  /** Waits between two streams; false: the batch was closed meanwhile. */
  synchronized boolean pause(Duration delay) throws InterruptedException {
    long endNs = System.nanoTime() + delay.toNanos();
    for (long leftNs = delay.toNanos(); leftNs > 0 && !isClosed; leftNs = endNs - System.nanoTime()) {
      wait(leftNs / 1_000_000, (int) (leftNs % 1_000_000));
    }
    return !isClosed;
  }

  /** Takes the source's next item. */
  synchronized void add(BatchItem item) {
    unanswered.put(items, new Unanswered(item));
    outbox.add(items++);
    send();
  }

  synchronized void endSource() {
    isSourceOver = true;
    send();
  }

  /** Begins a stream, on which everything unanswered is sent. */
  synchronized void beginStream(ClientCallStreamObserver<BatchRerankRequest> stream) {
    requests = stream;
    if (isClosed) {
      requests.cancel("the batch was closed", null);
      return;
    }
    isHalfClosed = false;
    streams++;
    sent.clear();
    sentHere = 0;
    outbox.clear();
    outbox.addAll(unanswered.keySet());
    before = answered;
    BatchOptions.Builder opening =
        BatchOptions.newBuilder().setDefaults(settings.defaults).setOrdered(settings.isOrdered);
    if (settings.maxConcurrency > 0) {
      opening.setMaxConcurrency(settings.maxConcurrency);
    }
    requests.onNext(BatchRerankRequest.newBuilder().setOptions(opening).build());
    send();
  }

  /** Sends what there is; gRPC drops it where the stream has ended, and the iterating thread then learns why. */
  private void send() {
    if (requests == null || isClosed || isHalfClosed) {
      return;
    }
    while (!outbox.isEmpty()) {
      int index = outbox.remove();
      Unanswered next = unanswered.get(index);
      next.sends++;
      sent.put(sentHere++, index);
      requests.onNext(BatchRerankRequest.newBuilder().setItem(next.item).build());
    }
    if (isSourceOver) {
      isHalfClosed = true;
      requests.onCompleted();
    }
  }

  /** Takes a message from the server: returns the outcome in it, reports progress and keeps the summary. */
  BatchOutcome receive(BatchRerankResponse message) {
    switch (message.getMessageCase()) {
      case ITEM:
        return answer(message.getItem());
      case PROGRESS:
        settings.onProgress.accept(total(message.getProgress()));
        return null;
      case SUMMARY:
        summarize(message.getSummary());
        return null;
      default:
        return null;
    }
  }

  private BatchProgress total(BatchProgress here) {
    return BatchProgress.newBuilder()
        .setItemsReceived(before.itemsReceived() + here.getItemsReceived())
        .setItemsSucceeded(before.itemsSucceeded() + here.getItemsSucceeded())
        .setItemsFailed(before.itemsFailed() + here.getItemsFailed())
        .build();
  }

  private synchronized void summarize(BatchSummary last) {
    Duration latency = Duration.ofNanos((long) (last.getLatencyMs() * 1e6));
    if (streams > 1) {
      latency = Duration.ofNanos(System.nanoTime() - startedNs);
    }
    summary =
        before
            .plus(last.getItemsReceived(), last.getItemsSucceeded(), last.getItemsFailed(), last.getUsage())
            .took(latency, streams - 1);
  }

  /** Returns the outcome of an item; null for one that was answered before. */
  private synchronized BatchOutcome answer(BatchItemResult item) {
    Integer index = sent.remove(item.getItemIndex());
    if (index == null) {
      return null;
    }
    unanswered.remove(index);
    notifyAll();
    if (item.hasResponse()) {
      answered = answered.plus(1, 1, 0, item.getResponse().getUsage());
      return new BatchOutcome(item.getItemId(), index, Optional.of(item.getResponse()), Optional.empty());
    }
    answered = answered.plus(1, 0, 1, BatchTotals.NONE.usage());
    RerankException error = RerankException.ofItem(item.getStatus());
    return new BatchOutcome(item.getItemId(), index, Optional.empty(), Optional.of(error));
  }

  /** Returns how long to wait before the next stream; zero: the failure ends the batch. */
  synchronized Duration resumeDelay(RerankException failure) {
    requests = null;
    if (!isBreak(failure) || settings.maxResumes == 0) {
      return Duration.ZERO;
    }
    fruitless = answered.itemsReceived() > before.itemsReceived() ? 0 : fruitless + 1;
    int limit = settings.maxResumes;
    if (answered.itemsReceived() == 0) {
      limit = Math.min(RESUMES_UNANSWERED, limit);
    }
    boolean isWornOut = unanswered.values().stream().anyMatch(item -> item.sends > settings.maxResumes);
    if (fruitless > limit || isWornOut) {
      return Duration.ZERO;
    }
    long longest = Math.min(FIRST_DELAY_MS << Math.min(fruitless, MOST_DOUBLINGS), LONGEST_DELAY_MS);
    return Duration.ofMillis(longest / 2 + ThreadLocalRandom.current().nextLong(longest / 2));
  }

  /** Tells whether a stream broke, and not the server refused it. */
  private static boolean isBreak(RerankException failure) {
    return BREAKS.contains(failure.code())
        && (failure.requestId().isEmpty() || failure.reason().equals("DRAINING"));
  }
}
