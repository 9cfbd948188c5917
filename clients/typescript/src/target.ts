/** Called where neither the caller nor the environment names an address. */
export const DEFAULT_ADDRESS = "127.0.0.1:50051";
/** Environment variable with the address, for clients that are given none. */
export const ADDRESS_VARIABLE = "RERANKD_ADDRESS";
/** Environment variable with the API key, for clients that are given none. */
export const API_KEY_VARIABLE = "RERANKD_API_KEY";

const DEFAULT_PORT = "50051";
const SCHEMES = ["unix:", "dns:", "ipv4:", "ipv6:", "xds:"];
const BALANCED = ["dns:", "ipv4:", "ipv6:", "xds:"];

/**
 * Returns the gRPC target of an address, with the port where there is none.
 *
 * @param address `host`, `host:port`, or a gRPC target; empty: `RERANKD_ADDRESS`, else 127.0.0.1:50051.
 * @throws TypeError It is a URL of another protocol.
 */
export function resolveTarget(address: string): string {
  address ||= process.env[ADDRESS_VARIABLE] || DEFAULT_ADDRESS;
  if (SCHEMES.some((scheme) => address.startsWith(scheme))) {
    return address;
  }
  if (address.includes("://")) {
    throw new TypeError(
      `${JSON.stringify(address)} is not a gRPC address; write host:port, such as ${DEFAULT_ADDRESS}, ` +
        "and ask for an encrypted connection with the option tls",
    );
  }
  const isBareIpv6 = !address.startsWith("[") && address.split(":").length > 2;
  const host = isBareIpv6 ? `[${address}]` : address;
  return host.slice(host.lastIndexOf("]") + 1).includes(":") ? host : `${host}:${DEFAULT_PORT}`;
}

/**
 * Says whether calls are balanced over the servers of a target, and so health is checked.
 *
 * A plain `host:port` is usually a proxy that balances itself. A watch through it is pinned to one of the replicas behind
 * it, whose drain would make the whole proxy look unhealthy.
 */
export function isBalanced(target: string): boolean {
  return BALANCED.some((scheme) => target.startsWith(scheme));
}
