package dev.rerankd;

import io.grpc.Channel;
import io.grpc.ChannelCredentials;
import io.grpc.ClientInterceptors;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.TlsChannelCredentials;
import io.grpc.stub.MetadataUtils;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/** Says how a {@link RerankClient} connects and calls. */
public final class Builder {
  private static final int MAX_MESSAGE_BYTES = 64 * 1024 * 1024;

  /** What the requests of all calls under way may hold for retries; those beyond are sent once. */
  private static final long RETRY_BUFFER_BYTES = 4L * MAX_MESSAGE_BYTES;

  private static final long KEEPALIVE_S = 60;
  private static final long KEEPALIVE_TIMEOUT_S = 20;
  private static final int MOST_ATTEMPTS = 5;
  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  static {
    AddressList.register();
  }

  private final Metadata metadata = new Metadata();
  private String target = fromEnvironment(RerankClient.ADDRESS_VARIABLE, RerankClient.DEFAULT_ADDRESS);
  private String apiKey = fromEnvironment(RerankClient.API_KEY_VARIABLE, "");
  private ChannelCredentials credentials = InsecureChannelCredentials.create();
  private Duration timeout = Duration.ofSeconds(30);
  private String userAgent = "";
  private int maxAttempts = ServiceConfig.DEFAULT_ATTEMPTS;
  private Consumer<ManagedChannelBuilder<?>> more = builder -> {};

  Builder() {}

  /**
   * Sets the server: {@code host}, {@code host:port}, or a gRPC target such as {@code dns:///host:port}, {@code
   * ipv4:10.0.0.1:50051,10.0.0.2:50051} or {@code unix:/path}. Default: {@code RERANKD_ADDRESS}, else 127.0.0.1:50051.
   *
   * @param target the target
   * @return this
   */
  public Builder target(String target) {
    this.target = target;
    return this;
  }

  /**
   * Sets the API key, sent as {@code authorization: Bearer KEY}. Default: {@code RERANKD_API_KEY}.
   *
   * @param apiKey the key; empty: none is sent
   * @return this
   */
  public Builder apiKey(String apiKey) {
    this.apiKey = apiKey;
    return this;
  }

  /**
   * Encrypts the connection, trusting the authorities that Java trusts.
   *
   * @return this
   */
  public Builder tls() {
    return credentials(TlsChannelCredentials.create());
  }

  /**
   * Encrypts the connection, trusting the authorities in a PEM file.
   *
   * @param authorities by which the server's certificate must be signed
   * @return this
   * @throws IOException the file cannot be read
   */
  public Builder tls(Path authorities) throws IOException {
    return credentials(TlsChannelCredentials.newBuilder().trustManager(authorities.toFile()).build());
  }

  /**
   * Encrypts the connection and shows a certificate of the client's (mutual TLS); all are PEM files.
   *
   * @param authorities by which the server's certificate must be signed
   * @param chain the client's certificate, and those that sign it
   * @param key the private key of it
   * @return this
   * @throws IOException a file cannot be read
   */
  public Builder tls(Path authorities, Path chain, Path key) throws IOException {
    TlsChannelCredentials.Builder made = TlsChannelCredentials.newBuilder().trustManager(authorities.toFile());
    return credentials(made.keyManager(chain.toFile(), key.toFile()).build());
  }

  /**
   * Sets gRPC's credentials of the connection. Default: not encrypted.
   *
   * @param credentials the credentials
   * @return this
   */
  public Builder credentials(ChannelCredentials credentials) {
    this.credentials = credentials;
    return this;
  }

  /**
   * Sets the timeout of each call but batches. Default: 30 seconds.
   *
   * @param timeout the timeout; zero: none
   * @return this
   */
  public Builder timeout(Duration timeout) {
    this.timeout = checked(timeout);
    return this;
  }

  /**
   * Sends metadata with every call.
   *
   * @param name the name
   * @param value the value, in ASCII
   * @return this
   */
  public Builder metadata(String name, String value) {
    metadata.put(Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER), value);
    return this;
  }

  /**
   * Sets what is put in front of this library's user agent.
   *
   * @param userAgent such as {@code shop/1.2}
   * @return this
   */
  public Builder userAgent(String userAgent) {
    this.userAgent = userAgent;
    return this;
  }

  /**
   * Sets how often a call is made that meets UNAVAILABLE, or CANCELLED by a server that stops. Default: 4.
   *
   * @param attempts 1 (no retry) to 5
   * @return this
   */
  public Builder maxAttempts(int attempts) {
    if (attempts < 1 || attempts > MOST_ATTEMPTS) {
      throw new IllegalArgumentException("the number of attempts must be 1 to 5, was " + attempts);
    }
    maxAttempts = attempts;
    return this;
  }

  /**
   * Changes the channel beyond what is here, such as its executor or a proxy.
   *
   * @param change is given grpc-java's builder; what it sets goes before what this library sets
   * @return this
   */
  public Builder channel(Consumer<ManagedChannelBuilder<?>> change) {
    more = change;
    return this;
  }

  /**
   * Makes the client.
   *
   * @return the client
   * @throws IllegalArgumentException the target is not one
   */
  public RerankClient build() {
    return new RerankClient(copy());
  }

  private Builder copy() {
    Builder made = new Builder();
    made.target = Target.resolve(target);
    made.apiKey = apiKey;
    made.credentials = credentials;
    made.timeout = timeout;
    made.userAgent = userAgent;
    made.maxAttempts = maxAttempts;
    made.more = more;
    made.metadata.merge(metadata);
    if (!apiKey.isEmpty()) {
      made.metadata.put(AUTHORIZATION, "Bearer " + apiKey);
    }
    return made;
  }

  Duration timeout() {
    return timeout;
  }

  static Duration checked(Duration timeout) {
    if (timeout.isNegative()) {
      throw new IllegalArgumentException("the timeout must not be negative, was " + timeout);
    }
    return timeout;
  }

  /** Makes a channel; one that is not balanced calls servers that are not serving, too. */
  ManagedChannel connect(boolean isBalanced) {
    ManagedChannelBuilder<?> builder =
        Grpc.newChannelBuilder(target, credentials)
            .userAgent((userAgent + " rerankd-java/" + RerankClient.VERSION).strip())
            .maxInboundMessageSize(MAX_MESSAGE_BYTES)
            .keepAliveTime(KEEPALIVE_S, TimeUnit.SECONDS)
            .keepAliveTimeout(KEEPALIVE_TIMEOUT_S, TimeUnit.SECONDS)
            .enableRetry()
            // A call is retried only if its request fits these buffers; gRPC's defaults are 1 MB and 16 MB.
            .perRpcBufferLimit(MAX_MESSAGE_BYTES)
            .retryBufferSize(RETRY_BUFFER_BYTES);
    if (isBalanced) {
      builder.defaultServiceConfig(ServiceConfig.of(maxAttempts, Target.checksHealth(target)));
    }
    more.accept(builder);
    return builder.build();
  }

  /** Returns the channel that sends key and metadata. */
  Channel intercept(Channel channel) {
    return metadata.keys().isEmpty()
        ? channel
        : ClientInterceptors.intercept(channel, MetadataUtils.newAttachHeadersInterceptor(metadata));
  }

  private static String fromEnvironment(String name, String otherwise) {
    String value = System.getenv(name);
    return value == null || value.isEmpty() ? otherwise : value;
  }
}
