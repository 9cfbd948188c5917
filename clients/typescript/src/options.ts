import { ChannelCredentials, type ChannelOptions, credentials } from "@grpc/grpc-js";

import { HEALTHY_ROUND_ROBIN } from "./health_balancer.js";
import { SERVICE_CONFIG } from "./service_config.js";

/** Version of this package, sent in the user agent. */
export const VERSION = "0.1.0";

const DEFAULT_MAX_ATTEMPTS = 4;
const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;
/** What all calls of the process may keep for retries. */
const RETRY_BUFFER_BYTES = 1024 * 1024 * 1024;
const KEEPALIVE_EVERY_MS = 60_000;
const KEEPALIVE_TIMEOUT_MS = 20_000;

/** Certificates in PEM. */
export interface TlsOptions {
  /** Certificates that the server's must be signed by; default: the system's. */
  ca?: Buffer | string;
  /** Chain that this client shows (mutual TLS). */
  cert?: Buffer | string;
  /** Key of `cert`. */
  key?: Buffer | string;
  /** Name in the server's certificate, if it differs from the address. */
  serverName?: string;
}

/** How a client connects and calls. */
export interface ClientOptions {
  /** Sent as `authorization: Bearer KEY`. Default: `RERANKD_API_KEY`; empty: none is sent. */
  apiKey?: string;
  /** Encrypts the connection: true, certificates, or credentials of grpc-js. Default: not encrypted. */
  tls?: boolean | TlsOptions | ChannelCredentials;
  /** Milliseconds until a call without a deadline of its own has failed, except batches. Default 30,000; 0: none. */
  timeoutMs?: number;
  /** Sent with every call. */
  metadata?: Record<string, string>;
  /** Put in front of this package's user agent. */
  userAgent?: string;
  /** Attempts of a call that meets UNAVAILABLE, or CANCELLED by a server that stops: 1 (no retry) to 5. Default 4. */
  maxAttempts?: number;
  /** Options of grpc-js; they override this package's. */
  channelOptions?: ChannelOptions;
}

/** How one call is made. */
export interface CallOptions {
  /** Milliseconds until it has failed; 0: no deadline. Default: the client's, and none for batches. */
  timeoutMs?: number;
  /** Cancels the call. */
  signal?: AbortSignal;
  /** Sent with this call; `x-request-id` names it in the server's log. */
  metadata?: Record<string, string>;
}

/**
 * Returns the options of a channel.
 *
 * @param isBalanced Whether it goes to several servers; undefined: it is for health alone, and has no policy of calls.
 * @throws TypeError The number of attempts is not 1 to 5.
 */
export function channelOptionsOf(options: ClientOptions, isBalanced: boolean | undefined): ChannelOptions {
  const { userAgent = "", maxAttempts = DEFAULT_MAX_ATTEMPTS, tls, channelOptions } = options;
  return {
    "grpc.primary_user_agent": `${userAgent} rerankd-typescript/${VERSION}`.trim(),
    "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    // A call is retried only if its request fits this buffer; the default is 1 MB.
    "grpc.per_rpc_retry_buffer_size": MAX_MESSAGE_BYTES,
    "grpc.retry_buffer_size": RETRY_BUFFER_BYTES,
    "grpc.keepalive_time_ms": KEEPALIVE_EVERY_MS,
    "grpc.keepalive_timeout_ms": KEEPALIVE_TIMEOUT_MS,
    ...(isBalanced !== undefined && { "grpc.service_config": JSON.stringify(serviceConfig(isBalanced, maxAttempts)) }),
    ...serverNameOf(tls),
    ...channelOptions,
  };
}

/**
 * Returns the policy of all clients as grpc-js takes it, with health checks for balanced targets alone.
 *
 * @throws TypeError The number of attempts is not 1 to 5.
 */
export function serviceConfig(isBalanced: boolean, maxAttempts: number): object {
  if (!Number.isInteger(maxAttempts) || maxAttempts < 1 || maxAttempts > 5) {
    throw new TypeError(`maxAttempts must be 1 to 5, was ${maxAttempts}`);
  }
  const { healthCheckConfig, methodConfig, retryThrottling, loadBalancingConfig } = SERVICE_CONFIG;
  const balancing = isBalanced ? [{ [HEALTHY_ROUND_ROBIN]: healthCheckConfig }] : loadBalancingConfig;
  if (maxAttempts === 1) {
    return { loadBalancingConfig: balancing };
  }
  const methods = methodConfig.map(({ name, retryPolicy }) => ({ name, retryPolicy: { ...retryPolicy, maxAttempts } }));
  return { loadBalancingConfig: balancing, methodConfig: methods, retryThrottling };
}

/** Returns the credentials of an option. */
export function credentialsOf(tls: ClientOptions["tls"]): ChannelCredentials {
  if (tls instanceof ChannelCredentials) {
    return tls;
  }
  if (!tls) {
    return credentials.createInsecure();
  }
  const { ca, cert, key } = tls === true ? ({} as TlsOptions) : tls;
  return credentials.createSsl(pem(ca), pem(key), pem(cert));
}

function serverNameOf(tls: ClientOptions["tls"]): ChannelOptions {
  const name = typeof tls === "object" && !(tls instanceof ChannelCredentials) ? tls.serverName : undefined;
  return name ? { "grpc.ssl_target_name_override": name, "grpc.default_authority": name } : {};
}

function pem(value: Buffer | string | undefined): Buffer | null {
  return value === undefined ? null : Buffer.from(value);
}
