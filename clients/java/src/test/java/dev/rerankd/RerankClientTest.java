package dev.rerankd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Any;
import com.google.rpc.BadRequest;
import com.google.rpc.Code;
import com.google.rpc.ErrorInfo;
import com.google.rpc.QuotaFailure;
import com.google.rpc.RetryInfo;
import dev.rerankd.v1.RerankRequest;
import dev.rerankd.v1.RerankServiceGrpc;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.health.v1.HealthCheckResponse.ServingStatus;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class RerankClientTest {
  private static final RerankRequest REQUEST = RerankRequest.newBuilder().setModel("m").build();
  private TestServer server;

  @BeforeEach
  void start() throws Exception {
    server = new TestServer();
  }

  @AfterEach
  void stop() {
    server.close();
  }

  private static Metadata.Key<String> key(String name) {
    return Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER);
  }

  private static RerankException failureOf(CompletableFuture<?> call) {
    return RerankException.of(assertThrows(CompletionException.class, call::join));
  }

  @Test
  void keyMetadataAndDeadlineAreSent() {
    Metadata more = new Metadata();
    more.put(key("x-request-id"), "mine");
    Builder builder = server.builder().apiKey("secret").metadata("X-Team", "search").userAgent("shop/1");
    try (RerankClient client = builder.build()) {
      assertEquals("m", client.withMetadata(more).rerank(REQUEST).join().getModel());
      assertEquals("Bearer secret", server.headers.get(key("authorization")));
      assertEquals("search", server.headers.get(key("x-team")));
      assertEquals("mine", server.headers.get(key("x-request-id")));
      assertTrue(server.headers.get(key("user-agent")).startsWith("shop/1 rerankd-java/"));
      long leftS = server.deadline.timeRemaining(TimeUnit.SECONDS);
      assertTrue(leftS > 20 && leftS <= 30, leftS + " seconds are left");
      client.withTimeout(Duration.ZERO).rerank(REQUEST).join();
      assertEquals(null, server.deadline);
    }
  }

  @Test
  void detailsAreDecoded() {
    com.google.rpc.Status.Builder status =
        com.google.rpc.Status.newBuilder().setCode(Code.RESOURCE_EXHAUSTED_VALUE).setMessage("too much");
    var field = BadRequest.FieldViolation.newBuilder().setField("top_n").setDescription("is 0");
    var limit = QuotaFailure.Violation.newBuilder().setSubject("all").setDescription("is used");
    var delay = com.google.protobuf.Duration.newBuilder().setSeconds(1).setNanos(500_000_000);
    status
        .addDetails(Any.pack(ErrorInfo.newBuilder().setReason("RATE_LIMITED").putMetadata("limit", "all").build()))
        .addDetails(Any.pack(BadRequest.newBuilder().addFieldViolations(field).build()))
        .addDetails(Any.pack(QuotaFailure.newBuilder().addViolations(limit).build()))
        .addDetails(Any.pack(RetryInfo.newBuilder().setRetryDelay(delay).build()));
    Metadata trailers = new Metadata();
    trailers.put(key("x-request-id"), "req-7");
    server.failure = StatusProto.toStatusRuntimeException(status.build(), trailers);
    try (RerankClient client = server.connect()) {
      var stub = RerankServiceGrpc.newBlockingStub(client.channel());
      RerankException own = RerankException.of(assertThrows(StatusRuntimeException.class, () -> stub.rerank(REQUEST)));
      for (RerankException failure : List.of(failureOf(client.rerank(REQUEST)), own)) {
        assertEquals(Status.Code.RESOURCE_EXHAUSTED, failure.code());
        assertEquals("RATE_LIMITED", failure.reason());
        assertEquals("too much", failure.getMessage());
        assertEquals(Map.of("limit", "all"), failure.metadata());
        assertEquals(List.of(new RerankException.FieldViolation("top_n", "is 0")), failure.fields());
        assertEquals(List.of(new RerankException.QuotaViolation("all", "is used")), failure.quota());
        assertEquals(Optional.of(Duration.ofMillis(1500)), failure.retryAfter());
        assertEquals(Optional.of("req-7"), failure.requestId());
      }
    }
  }

  @Test
  void anythingElseIsUnknown() {
    RerankException failure = RerankException.of(new IllegalStateException("odd"));
    assertEquals(Status.Code.UNKNOWN, failure.code());
    assertTrue(failure.getMessage().contains("odd"), failure.getMessage());
  }

  @Test
  void aTimeoutEndsTheCall() {
    server.isSilent = true;
    try (RerankClient client = server.builder().timeout(Duration.ofMillis(300)).build()) {
      assertEquals("DEADLINE_EXCEEDED", failureOf(client.rerank(REQUEST)).reason());
    }
  }

  @Test
  void cancellingTheFutureCancelsTheCall() throws Exception {
    server.isSilent = true;
    try (RerankClient client = server.connect()) {
      assertCancelled(client.rerank(REQUEST), server);
      try (TestServer other = new TestServer();
          RerankClient another = other.connect()) {
        assertCancelled(another.getModel("m"), other);
      }
    }
  }

  private static void assertCancelled(CompletableFuture<?> call, TestServer server) throws Exception {
    assertTrue(server.silentCalls.await(10, TimeUnit.SECONDS));
    assertTrue(call.cancel(true));
    assertTrue(server.cancelled.await(10, TimeUnit.SECONDS));
    assertTrue(call.isCancelled());
  }

  @Test
  void aServerWithoutTlsIsHintedAt() {
    try (RerankClient client = server.builder().tls().maxAttempts(1).build()) {
      RerankException failure = failureOf(client.rerank(REQUEST));
      assertEquals(Status.Code.UNAVAILABLE, failure.code());
      assertTrue(failure.getMessage().contains("without TLS"), failure.getMessage());
    }
  }

  @Test
  void healthHasAConnectionOfItsOwn() {
    try (RerankClient client = server.connect()) {
      assertEquals(ServingStatus.SERVING, client.health("").join());
      assertEquals(Status.Code.NOT_FOUND, failureOf(client.health("nobody")).code());
    }
  }

  @Test
  void allPagesOfModelsAreRead() {
    try (RerankClient client = server.connect()) {
      assertEquals(List.of("a", "b", "c"), client.listModels("").join().stream().map(each -> each.getName()).toList());
    }
  }

  @Test
  void listsOfAddressesAreResolved() {
    String target;
    try (RerankClient client = server.connect()) {
      target = client.channel().authority();
    }
    try (RerankClient client = server.builder().target("ipv4:" + target + "," + target).build()) {
      assertEquals(target, client.channel().authority());
      assertEquals("m", client.rerank(REQUEST).join().getModel());
    }
  }
}
