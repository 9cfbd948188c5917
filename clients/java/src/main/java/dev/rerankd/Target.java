package dev.rerankd;

import java.util.List;
import java.util.stream.Stream;

/** Where a client connects to: a gRPC target. */
final class Target {
  private static final String DEFAULT_PORT = "50051";
  private static final List<String> BALANCED = List.of("dns:", "ipv4:", "ipv6:", "xds:");
  private static final List<String> SCHEMES =
      Stream.concat(BALANCED.stream(), Stream.of("unix:", "unix-abstract:", "passthrough:")).toList();

  private Target() {}

  /** Returns the gRPC target of an address, with a port where there was none. */
  static String resolve(String address) {
    if (hasScheme(address, SCHEMES)) {
      return address;
    }
    if (address.isBlank() || address.contains("://")) {
      throw new IllegalArgumentException(
          String.format(
              "'%s' is not a gRPC address; write host:port, such as %s, and ask for an encrypted connection with tls()",
              address, RerankClient.DEFAULT_ADDRESS));
    }
    String host = address;
    if (host.indexOf(':') != host.lastIndexOf(':') && !host.startsWith("[")) {
      host = "[" + host + "]";
    }
    return host.indexOf(':', host.lastIndexOf(']') + 1) < 0 ? host + ":" + DEFAULT_PORT : host;
  }

  /**
   * Tells whether health is checked of a target. Behind a proxy, which a plain host:port may be, the watch would be that
   * of one replica: its drain would end all calls through the proxy.
   */
  static boolean checksHealth(String target) {
    return hasScheme(target, BALANCED);
  }

  private static boolean hasScheme(String address, List<String> schemes) {
    return schemes.stream().anyMatch(address::startsWith);
  }
}
