import { Client, type ClientDuplexStream, Metadata, type ServiceError } from "@grpc/grpc-js";
import {
  type DescMessage,
  type DescMethodBiDiStreaming,
  type DescMethodUnary,
  type MessageShape,
  fromBinary,
  toBinary,
} from "@bufbuild/protobuf";

import { RerankError, codeName, errorOfStatus } from "./errors.js";
import { StatusSchema } from "./gen/google/rpc/status_pb.js";
import { type CallOptions, type ClientOptions, channelOptionsOf, credentialsOf } from "./options.js";
import { API_KEY_VARIABLE, isBalanced, resolveTarget } from "./target.js";

const DEFAULT_TIMEOUT_MS = 30_000;
const DETAILS_KEY = "grpc-status-details-bin";
const REQUEST_ID_KEY = "x-request-id";

/** A channel with key, deadlines, cancellation and typed errors for calls of any service. */
export class Connection {
  readonly target: string;
  /** Whether it was closed. */
  isClosed = false;
  readonly #options: ClientOptions;
  readonly #timeoutMs: number;
  readonly #metadata = new Metadata();
  readonly #client: Client;

  /**
   * @param isForCalls False: for health alone, without the policy of calls, so that servers are asked that are not serving.
   * @throws TypeError An option or the address cannot be used.
   */
  constructor(address: string, options: ClientOptions, isForCalls = true) {
    this.target = resolveTarget(address);
    this.#options = options;
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    setAll(this.#metadata, options.metadata);
    const key = options.apiKey ?? process.env[API_KEY_VARIABLE];
    if (key) {
      this.#metadata.set("authorization", `Bearer ${key}`);
    }
    const channelOptions = channelOptionsOf(options, isForCalls ? isBalanced(this.target) : undefined);
    this.#client = new Client(this.target, credentialsOf(options.tls), channelOptions);
  }

  /** Returns a connection of its own for questions about health. */
  forHealth(): Connection {
    return new Connection(this.target, this.#options, false);
  }

  /** Makes a call with one answer. */
  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageShape<I>,
    options: CallOptions = {},
  ): Promise<MessageShape<O>> {
    const { signal } = options;
    const timeoutMs = options.timeoutMs ?? this.#timeoutMs;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(cancelled(signal));
        return;
      }
      this.#checkOpen();
      const call = this.#client.makeUnaryRequest(
        pathOf(method),
        (message: MessageShape<I>) => bufferOf(toBinary(method.input, message)),
        (bytes) => fromBinary(method.output, bytes),
        request,
        this.#metadataOf(options),
        timeoutMs ? { deadline: Date.now() + timeoutMs } : {},
        (error, response) => {
          signal?.removeEventListener("abort", cancel);
          if (error) {
            reject(signal?.aborted ? cancelled(signal) : errorOfCall(error));
          } else {
            resolve(response as MessageShape<O>);
          }
        },
      );
      const cancel = () => call.cancel();
      signal?.addEventListener("abort", cancel, { once: true });
    });
  }

  /** Opens a stream both ways; it has the deadline of its options alone. */
  duplex<I extends DescMessage, O extends DescMessage>(
    method: DescMethodBiDiStreaming<I, O>,
    options: CallOptions = {},
  ): ClientDuplexStream<MessageShape<I>, MessageShape<O>> {
    this.#checkOpen();
    return this.#client.makeBidiStreamRequest(
      pathOf(method),
      (message: MessageShape<I>) => bufferOf(toBinary(method.input, message)),
      (bytes) => fromBinary(method.output, bytes),
      this.#metadataOf(options),
      options.timeoutMs ? { deadline: Date.now() + options.timeoutMs } : {},
    );
  }

  /** Closes the channel once the calls under way have ended. */
  close(): void {
    this.isClosed = true;
    this.#client.close();
  }

  #checkOpen(): void {
    if (this.isClosed) {
      throw new RerankError({ code: "CANCELLED", message: "the client is closed" });
    }
  }

  #metadataOf(options: CallOptions): Metadata {
    if (!options.metadata) {
      return this.#metadata;
    }
    const metadata = this.#metadata.clone();
    setAll(metadata, options.metadata);
    return metadata;
  }
}

/** Returns the error of a call that failed, with what the server says of it. */
export function errorOfCall(error: ServiceError): RerankError {
  const details = error.metadata?.get(DETAILS_KEY)[0];
  const requestId = error.metadata?.get(REQUEST_ID_KEY)[0]?.toString();
  const cause = { cause: error };
  if (Buffer.isBuffer(details)) {
    const status = fromBinary(StatusSchema, details);
    if (status.code === error.code) {
      return errorOfStatus(status, requestId, cause);
    }
  }
  return new RerankError({ code: codeName(error.code), message: error.details, requestId }, cause);
}

/** Returns the error of a call that its signal cancelled. */
export function cancelled(signal: AbortSignal): RerankError {
  return new RerankError({ code: "CANCELLED", message: "the call was cancelled" }, { cause: signal.reason });
}

function pathOf(method: { parent: { typeName: string }; name: string }): string {
  return `/${method.parent.typeName}/${method.name}`;
}

/** The same bytes as what grpc-js takes. */
function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function setAll(metadata: Metadata, values: Record<string, string> | undefined): void {
  for (const [key, value] of Object.entries(values ?? {})) {
    metadata.set(key, value);
  }
}
