package dev.rerankd;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.QuotaFailure;
import com.google.rpc.RetryInfo;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusException;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.io.Serializable;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;

/**
 * Says why a call, or one item of a batch, failed.
 *
 * <p>The facts come from the {@code google.rpc} error details that the server sends with every failure; without them (no
 * server, a proxy in between) the reason is the name of the code. The cause is gRPC's own exception, with status and
 * trailers as they came.
 */
public final class RerankException extends RuntimeException {
  private static final long serialVersionUID = 1L;
  private static final Metadata.Key<String> REQUEST_ID =
      Metadata.Key.of("x-request-id", Metadata.ASCII_STRING_MARSHALLER);

  /** The gRPC status code. */
  private final Status.Code code;

  /** What the details say. */
  private final Details details;

  /**
   * One field of the request that breaks a rule.
   *
   * @param field a path by proto names, such as {@code documents[3].text}
   * @param description the rule
   */
  public record FieldViolation(String field, String description) implements Serializable {}

  /**
   * One limit that a call exceeds.
   *
   * @param subject the name of the limit
   * @param description how it is exceeded
   */
  public record QuotaViolation(String subject, String description) implements Serializable {}

  private RerankException(String message, Throwable cause, Status.Code code, Details details) {
    super(message, cause);
    this.code = code;
    this.details = details;
  }

  /**
   * Decodes a failure of any stub, also of one that was made with {@link RerankClient#channel()}.
   *
   * @param failure gRPC's exception, or one that wraps it, such as an {@link ExecutionException}
   * @return what it says; the failure itself where it is a {@link RerankException}; code UNKNOWN for what is none of gRPC's
   */
  public static RerankException of(Throwable failure) {
    Throwable found = failure;
    while ((found instanceof ExecutionException || found instanceof CompletionException) && found.getCause() != null) {
      found = found.getCause();
    }
    if (found instanceof RerankException decoded) {
      return decoded;
    }
    Metadata trailers = null;
    if (found instanceof StatusRuntimeException one) {
      trailers = one.getTrailers();
    } else if (found instanceof StatusException other) {
      trailers = other.getTrailers();
    }
    com.google.rpc.Status status = StatusProto.fromThrowable(found);
    return made(found, Status.fromThrowable(found), status, trailers);
  }

  /** Decodes the status of a batch's item. */
  static RerankException ofItem(com.google.rpc.Status status) {
    StatusRuntimeException cause = StatusProto.toStatusRuntimeException(status);
    return made(cause, cause.getStatus(), status, null);
  }

  private static RerankException made(
      Throwable cause, Status status, com.google.rpc.Status packed, Metadata trailers) {
    Details details = new Details(status.getCode().name());
    if (packed != null) {
      packed.getDetailsList().forEach(details::add);
    }
    String requestId = trailers == null ? null : trailers.get(REQUEST_ID);
    if (requestId != null) {
      details.requestId = requestId;
    }
    return new RerankException(textOf(status), cause, status.getCode(), details);
  }

  private static String textOf(Status status) {
    String text = status.getDescription() == null ? status.getCode().name() : status.getDescription();
    Throwable cause = status.getCause();
    if (cause == null) {
      return text;
    }
    String why = cause.getMessage() == null ? cause.getClass().getSimpleName() : cause.getMessage();
    String hint = why.contains("not an SSL/TLS record") ? "; does the server want a connection without TLS?" : "";
    return text + ": " + why + hint;
  }

  /**
   * Returns the gRPC status code.
   *
   * @return the code; never OK
   */
  public Status.Code code() {
    return code;
  }

  /**
   * Returns the reason, which programs can tell apart.
   *
   * @return the name of a {@code dev.rerankd.v1.ErrorReason} without its prefix, such as MODEL_NOT_FOUND
   */
  public String reason() {
    return details.reason;
  }

  /**
   * Returns everything that varies in the message.
   *
   * @return names and values; empty without details
   */
  public Map<String, String> metadata() {
    return details.metadata;
  }

  /**
   * Returns the offending fields of an invalid request.
   *
   * @return the fields; empty for other failures
   */
  public List<FieldViolation> fields() {
    return List.copyOf(details.fields);
  }

  /**
   * Returns the limits that a refused call exceeds.
   *
   * @return the limits; empty for other failures
   */
  public List<QuotaViolation> quota() {
    return List.copyOf(details.quota);
  }

  /**
   * Returns the time after which a retry can succeed.
   *
   * @return the time; empty where the server gave no hint
   */
  public Optional<Duration> retryAfter() {
    return Optional.ofNullable(details.retryAfter);
  }

  /**
   * Returns what finds the call in the server's log.
   *
   * @return the request's id; empty when no server answered
   */
  public Optional<String> requestId() {
    return Optional.ofNullable(details.requestId);
  }

  /** What the details of a status say. */
  private static final class Details implements Serializable {
    private static final long serialVersionUID = 1L;
    private final ArrayList<FieldViolation> fields = new ArrayList<>();
    private final ArrayList<QuotaViolation> quota = new ArrayList<>();
    private String reason;
    private Map<String, String> metadata = Map.of();
    private Duration retryAfter;
    private String requestId;

    Details(String reason) {
      this.reason = reason;
    }

    void add(Any packed) {
      try {
        if (packed.is(ErrorInfo.class)) {
          ErrorInfo info = packed.unpack(ErrorInfo.class);
          reason = info.getReason();
          metadata = Map.copyOf(info.getMetadataMap());
          requestId = metadata.get("request_id");
        } else if (packed.is(BadRequest.class)) {
          for (var each : packed.unpack(BadRequest.class).getFieldViolationsList()) {
            fields.add(new FieldViolation(each.getField(), each.getDescription()));
          }
        } else if (packed.is(QuotaFailure.class)) {
          for (var each : packed.unpack(QuotaFailure.class).getViolationsList()) {
            quota.add(new QuotaViolation(each.getSubject(), each.getDescription()));
          }
        } else if (packed.is(RetryInfo.class)) {
          var delay = packed.unpack(RetryInfo.class).getRetryDelay();
          retryAfter = Duration.ofSeconds(delay.getSeconds(), delay.getNanos());
        }
      } catch (InvalidProtocolBufferException damaged) {
        metadata = Map.of("details", "cannot be read: " + damaged.getMessage());
      }
    }
  }
}
