import type { ClientDuplexStream, ServiceError } from "@grpc/grpc-js";

import { BatchRun } from "./batch_run.js";
import type { BatchItem, BatchOptions, BatchResult, BatchSummary } from "./batch_types.js";
import { type Connection, cancelled, errorOfCall } from "./connection.js";
import { RerankError } from "./errors.js";
import {
  type BatchRerankRequest,
  type BatchRerankResponse,
  RerankService,
} from "./gen/rerank/v1/rerank_service_pb.js";
import type { CallOptions } from "./options.js";

type Stream = ClientDuplexStream<BatchRerankRequest, BatchRerankResponse>;

/**
 * The results of a batch, to be iterated over once. Leaving the loop cancels what is under way.
 *
 * An item that fails does not affect the others: its result has the error. The iteration itself fails with the error of
 * the batch, or of the source of items.
 */
export class Batch implements AsyncIterable<BatchResult> {
  readonly #connection: Connection;
  readonly #items: Iterable<BatchItem> | AsyncIterable<BatchItem>;
  readonly #options: BatchOptions & CallOptions;
  readonly #run: BatchRun;
  #isOver = false;
  #sourceError: { error: unknown } | undefined;
  #stream: Stream | undefined;

  /** Made by `RerankClient.batchRerank`. */
  constructor(
    connection: Connection,
    items: Iterable<BatchItem> | AsyncIterable<BatchItem>,
    options: BatchOptions & CallOptions,
  ) {
    this.#connection = connection;
    this.#items = items;
    this.#options = options;
    this.#run = new BatchRun(options);
  }

  /** The totals; undefined until the iteration has ended without an error. */
  get summary(): BatchSummary | undefined {
    return this.#run.summary;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<BatchResult, void, undefined> {
    const { signal } = this.#options;
    const stop = () => this.#stop();
    signal?.addEventListener("abort", stop, { once: true });
    try {
      void this.#read();
      while (!signal?.aborted) {
        const error = yield* this.#results();
        if (!error) {
          return;
        }
        await this.#beforeResume(error);
      }
      throw cancelled(signal);
    } finally {
      signal?.removeEventListener("abort", stop);
      this.#stop();
    }
  }

  #stop(): void {
    this.#isOver = true;
    this.#stream?.cancel();
    this.#run.wake();
  }

  /** Takes items from the source while there is room for them. */
  async #read(): Promise<void> {
    const source = this.#items;
    const iterator = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
    try {
      while (await this.#room()) {
        const next = await iterator.next();
        if (next.done) {
          this.#run.endSource();
          return;
        }
        this.#run.add(next.value);
      }
      await iterator.return?.();
    } catch (error) {
      this.#sourceError = { error };
      this.#stop();
    }
  }

  /** Waits until another item may be read; false: none will be. */
  async #room(): Promise<boolean> {
    while (!this.#isOver && !this.#run.hasRoom) {
      await this.#run.changed();
    }
    return !this.#isOver;
  }

  /** Runs one stream to its end, and returns the error with which it broke. */
  async *#results(): AsyncGenerator<BatchResult, RerankError | undefined, undefined> {
    const { timeoutMs = 0, metadata = {} } = this.#options;
    const stream = this.#connection.duplex(RerankService.method.batchRerank, { timeoutMs, metadata });
    this.#stream = stream;
    stream.on("error", () => {}); // Of a stream that is cancelled when nobody reads it any more.
    void this.#send(stream);
    try {
      for await (const message of stream as AsyncIterable<BatchRerankResponse>) {
        const result = this.#run.receive(message);
        if (result) {
          yield result;
        }
      }
      return undefined;
    } catch (error) {
      if (isServiceError(error)) {
        return errorOfCall(error);
      }
      throw error;
    } finally {
      this.#stream = undefined;
      stream.cancel();
      this.#run.wake();
    }
  }

  /** Sends what there is until the source has ended or another stream has begun. */
  async #send(stream: Stream): Promise<void> {
    try {
      let message = this.#run.beginStream() as BatchRerankRequest | null | undefined;
      while (message !== null && this.#stream === stream) {
        if (message === undefined) {
          await this.#run.changed();
        } else if (!stream.write(message)) {
          await writable(stream);
        }
        if (this.#stream === stream) {
          message = this.#run.next();
        }
      }
      if (this.#stream === stream) {
        stream.end();
      }
    } catch (error) {
      // An item that no message can be made of.
      this.#sourceError = { error };
      this.#stop();
    }
  }

  /** Waits before the next stream, or throws the error that ends the batch. */
  async #beforeResume(error: RerankError): Promise<void> {
    if (this.#sourceError) {
      throw this.#sourceError.error;
    }
    const { signal } = this.#options;
    if (signal?.aborted) {
      throw cancelled(signal);
    }
    const delayMs = this.#run.resumeDelayMs(error);
    if (delayMs === undefined || this.#connection.isClosed) {
      throw error;
    }
    await Promise.race([
      new Promise((resolve) => setTimeout(resolve, delayMs)),
      new Promise((resolve) => signal?.addEventListener("abort", resolve, { once: true })),
    ]);
  }
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && typeof (error as Partial<ServiceError>).code === "number";
}

/** Waits until a stream takes more, or is over. */
function writable(stream: Stream): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      for (const event of ["drain", "close", "error", "end"]) {
        stream.off(event, done);
      }
      resolve();
    };
    for (const event of ["drain", "close", "error", "end"]) {
      stream.once(event, done);
    }
  });
}
