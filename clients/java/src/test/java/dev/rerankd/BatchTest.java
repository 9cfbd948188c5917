package dev.rerankd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.rerankd.v1.BatchItem;
import io.grpc.Status;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class BatchTest {
  private TestServer server;
  private RerankClient client;

  @BeforeEach
  void start() throws Exception {
    server = new TestServer();
    client = server.connect();
  }

  @AfterEach
  void stop() {
    client.close();
    server.close();
  }

  private static List<BatchItem> items(int count) {
    return IntStream.range(0, count)
        .mapToObj(index -> BatchItem.newBuilder().setItemId("" + index).build())
        .toList();
  }

  /** Iterates to the end, and adds what comes. */
  private static void read(Batch batch, List<BatchOutcome> outcomes) {
    batch.forEach(outcomes::add);
  }

  @Test
  void aBrokenStreamIsResumed() {
    server.failure = Status.UNAVAILABLE.withDescription("the connection is lost").asRuntimeException();
    server.breaksAfter = 5;
    List<BatchOutcome> outcomes = new ArrayList<>();
    try (Batch batch = client.batchRerank(items(20), BatchSettings.DEFAULT.maxConcurrency(3))) {
      read(batch, outcomes);
      BatchTotals totals = batch.summary().orElseThrow();
      assertEquals(List.of(20, 20, 0, 1), List.of(
          totals.itemsReceived(), totals.itemsSucceeded(), totals.itemsFailed(), totals.resumes()));
      assertEquals(20, totals.usage().getDocuments());
      assertEquals(10, totals.usage().getCost());
      assertFalse(totals.latency().isZero());
      assertThrows(IllegalStateException.class, batch::iterator);
    }
    outcomes.forEach(outcome -> assertEquals(outcome.itemId(), "" + outcome.itemIndex()));
    assertEquals(20, outcomes.stream().map(BatchOutcome::itemIndex).distinct().count());
    assertEquals(20, outcomes.size());
  }

  @Test
  void someBreaksEndTheBatch() {
    server.breaksAfter = 2;
    server.breaksAlways = true;
    Status lost = Status.UNAVAILABLE.withDescription("the connection is lost");
    assertEnds(lost, BatchSettings.DEFAULT.maxResumes(0), 1);
    assertEnds(lost, BatchSettings.DEFAULT.maxResumes(1), 2);
    assertEnds(Status.PERMISSION_DENIED, BatchSettings.DEFAULT, 1);
    assertEnds(lost, BatchSettings.DEFAULT.timeout(Duration.ofMillis(1)), 1);
  }

  private void assertEnds(Status status, BatchSettings settings, int streams) {
    server.streams.set(0);
    server.failure = status.asRuntimeException();
    List<BatchOutcome> outcomes = new ArrayList<>();
    try (Batch batch = client.batchRerank(items(9), settings)) {
      RerankException failure = assertThrows(RerankException.class, () -> read(batch, outcomes));
      if (settings.timeout.isZero()) {
        assertEquals(status.getCode(), failure.code());
        assertEquals(2, outcomes.size());
        assertEquals(streams, server.streams.get());
      }
      assertTrue(batch.summary().isEmpty());
    }
  }

  @Test
  void aBatchThatIsClosedIsCancelled() throws Exception {
    try (Batch batch = client.batchRerank(items(1000), BatchSettings.DEFAULT)) {
      Iterator<BatchOutcome> outcomes = batch.iterator();
      assertEquals(1, outcomes.next().get().getUsage().getDocuments());
    }
    assertTrue(server.cancelled.await(10, TimeUnit.SECONDS));
  }

  @Test
  void aSourceThatFailsEndsTheBatchWithItsException() {
    List<BatchItem> items = items(3);
    Iterable<BatchItem> source =
        () -> items.stream().peek(BatchTest::failOnTheLast).iterator();
    try (Batch batch = client.batchRerank(source, BatchSettings.DEFAULT)) {
      var failure = assertThrows(NoSuchElementException.class, () -> read(batch, new ArrayList<>()));
      assertEquals("gone", failure.getMessage());
    }
  }

  private static void failOnTheLast(BatchItem item) {
    if (item.getItemId().equals("2")) {
      throw new NoSuchElementException("gone");
    }
  }

  @Test
  void anInterruptEndsTheBatch() {
    Thread.currentThread().interrupt();
    try (Batch batch = client.batchRerank(items(3), BatchSettings.DEFAULT)) {
      RerankException failure = assertThrows(RerankException.class, () -> read(batch, new ArrayList<>()));
      assertEquals(Status.Code.CANCELLED, failure.code());
    }
    assertTrue(Thread.interrupted());
  }
}
