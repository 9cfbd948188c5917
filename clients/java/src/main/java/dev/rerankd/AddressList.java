package dev.rerankd;

import io.grpc.EquivalentAddressGroup;
import io.grpc.NameResolver;
import io.grpc.NameResolverProvider;
import io.grpc.NameResolverRegistry;
import io.grpc.StatusOr;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.UnknownHostException;
import java.util.ArrayList;
import java.util.List;

/**
 * Resolves targets such as {@code ipv4:10.0.0.1:50051,10.0.0.2:50051}, which grpc-java, unlike gRPC's C core, does not
 * know.
 */
final class AddressList extends NameResolverProvider {
  private static final int BELOW_ANY_OF_GRPC = 1;
  private final String scheme;

  private AddressList(String scheme) {
    this.scheme = scheme;
  }

  /** Makes the schemes known to all channels; a provider of grpc-java's own, should there be one, goes before. */
  static void register() {
    for (String scheme : List.of("ipv4", "ipv6")) {
      NameResolverRegistry.getDefaultRegistry().register(new AddressList(scheme));
    }
  }

  @Override
  protected boolean isAvailable() {
    return true;
  }

  @Override
  protected int priority() {
    return BELOW_ANY_OF_GRPC;
  }

  @Override
  public String getDefaultScheme() {
    return scheme;
  }

  @Override
  public NameResolver newNameResolver(URI target, NameResolver.Args arguments) {
    if (!scheme.equals(target.getScheme())) {
      return null;
    }
    return new Fixed(List.of(target.getSchemeSpecificPart().split(",")));
  }

  /** Parses {@code 10.0.0.1:50051} or {@code [::1]:50051}; a literal, so no name is looked up. */
  static InetSocketAddress parse(String address) {
    int colon = address.lastIndexOf(':');
    if (colon < 1 || !address.substring(0, colon).matches("[0-9.]+|\\[[0-9a-fA-F:.]+]")) {
      throw new IllegalArgumentException("'" + address + "' is not an IP address with a port");
    }
    try {
      InetAddress host = InetAddress.getByName(address.substring(0, colon));
      return new InetSocketAddress(host, Integer.parseInt(address.substring(colon + 1)));
    } catch (UnknownHostException | NumberFormatException cause) {
      throw new IllegalArgumentException("'" + address + "' is not an IP address with a port", cause);
    }
  }

  /** The resolver of addresses that do not change. */
  private static final class Fixed extends NameResolver {
    private final List<EquivalentAddressGroup> groups = new ArrayList<>();
    private final String first;

    Fixed(List<String> addresses) {
      first = addresses.get(0);
      for (String address : addresses) {
        groups.add(new EquivalentAddressGroup(parse(address)));
      }
    }

    /** Names the server that certificates are compared with. */
    @Override
    public String getServiceAuthority() {
      return first;
    }

    @Override
    public void start(Listener2 listener) {
      listener.onResult(ResolutionResult.newBuilder().setAddressesOrError(StatusOr.fromValue(groups)).build());
    }

    @Override
    public void shutdown() {}
  }
}
