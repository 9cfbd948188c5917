/** Client of the rerank service for browsers, and whatever else has `fetch`, over its HTTP gateway. */

import { type DescMessage, type JsonValue, type MessageShape, create } from "@bufbuild/protobuf";

import type { BatchItem, BatchOptions, BatchResult } from "./batch_types.js";
import { RerankError, errorOfStatus } from "./errors.js";
import {
  BatchRerankRequestSchema,
  BatchRerankResponseSchema,
  type BatchSummary,
  ListModelsResponseSchema,
  type Model,
  ModelSchema,
  RerankRequestSchema,
  type RerankResponse,
  RerankResponseSchema,
  WarmDocumentsRequestSchema,
  type WarmDocumentsResponse,
  WarmDocumentsResponseSchema,
} from "./gen/rerank/v1/rerank_service_pb.js";
import { decodeJson, encodeJson } from "./json.js";
import { type RerankInput, type WarmInput, rerankRequest, warmRequest } from "./requests.js";
import { errorOfFetch, errorOfResponse } from "./web_errors.js";

export type { BatchItem, BatchOptions, BatchResult } from "./batch_types.js";
export type { DocumentLike } from "./documents.js";
export { enumWord } from "./enums.js";
export { RerankError, type Code, type FieldViolation, type QuotaViolation } from "./errors.js";
export { ErrorReason } from "./gen/rerank/v1/error_reason_pb.js";
export * from "./gen/rerank/v1/rerank_service_pb.js";
export type { RerankInput, WarmInput } from "./requests.js";

const DEFAULT_TIMEOUT_MS = 30_000;

/** How a client calls. */
export interface WebClientOptions {
  /** Sent as `authorization: Bearer KEY`; a page that all may read has none. */
  apiKey?: string;
  /** Milliseconds until a call without a limit of its own has failed, except batches. Default 30,000; 0: none. */
  timeoutMs?: number;
  /** Sent with every call. */
  headers?: Record<string, string>;
  /** Makes the requests. Default: the platform's. */
  fetch?: typeof fetch;
}

/** How one call is made. */
export interface WebCallOptions {
  /** Milliseconds until it has failed; 0: no limit. Default: the client's, and none for batches. */
  timeoutMs?: number;
  /** Cancels the call. */
  signal?: AbortSignal;
  /** Sent with this call; `x-request-id` names it in the server's log. */
  headers?: Record<string, string>;
}

/**
 * Calls a rerank service over HTTP. Failed calls reject with a {@link RerankError}; nothing is retried.
 *
 * Pages of other origins than the server's need `server.http.allowed_origins` there.
 */
export class RerankWebClient {
  readonly #baseUrl: string;
  readonly #options: WebClientOptions;

  /** @param baseUrl Of the gateway, such as `https://rerank.example`; "" is the page's own origin. */
  constructor(baseUrl = "", options: WebClientOptions = {}) {
    this.#baseUrl = baseUrl.replace(/\/+$/, "");
    this.#options = options;
  }

  /** Scores every document against the query and returns the best ones, best first. */
  async rerank(request: RerankInput, options?: WebCallOptions): Promise<RerankResponse> {
    const body = encodeJson(RerankRequestSchema, rerankRequest(request));
    return this.#json(RerankResponseSchema, "/v1/rerank", options, body);
  }

  /** Computes the vectors of documents ahead, so that later calls with them cost little more than the query. */
  async warmDocuments(request: WarmInput, options?: WebCallOptions): Promise<WarmDocumentsResponse> {
    const body = encodeJson(WarmDocumentsRequestSchema, warmRequest(request));
    return this.#json(WarmDocumentsResponseSchema, "/v1/documents:warm", options, body);
  }

  /** Returns one model by its name or an alias. */
  async getModel(name: string, options?: WebCallOptions): Promise<Model> {
    return this.#json(ModelSchema, `/v1/models/${name.split("/").map(encodeURIComponent).join("/")}`, options);
  }

  /** Iterates over the models a caller may name, by name; those of one provider, unless it is empty. */
  async *listModels(provider = "", options?: WebCallOptions): AsyncGenerator<Model, void, undefined> {
    let token = "";
    do {
      const query = new URLSearchParams({ provider, page_token: token });
      const page = await this.#json(ListModelsResponseSchema, `/v1/models?${query}`, options);
      yield* page.models;
      token = page.nextPageToken;
    } while (token);
  }

  /**
   * Reranks items; results come as they finish, unless `ordered`. The generator returns the summary.
   *
   * All items are sent first, because browsers cannot stream what they send, and a stream that breaks is not resumed.
   */
  async *batchRerank(
    items: Iterable<BatchItem>,
    options: Omit<BatchOptions, "maxResumes"> & WebCallOptions = {},
  ): AsyncGenerator<BatchResult, BatchSummary | undefined, undefined> {
    const body = batchLines(items, options);
    const headers = { "content-type": "application/x-ndjson" };
    const call = { timeoutMs: 0, ...options };
    const signal = this.#signal(call);
    try {
      const response = await this.#fetch("/v1/rerank:batch", call, signal, { method: "POST", body, headers });
      for await (const line of linesOf(response)) {
        const { message } = decodeJson(BatchRerankResponseSchema, JSON.parse(line) as JsonValue);
        if (message.case === "item") {
          const { itemId, itemIndex, status, response } = message.value;
          yield response
            ? { itemId, itemIndex, response }
            : { itemId, itemIndex, error: status ? errorOfStatus(status) : new RerankError({ code: "UNKNOWN" }) };
        } else if (message.case === "progress") {
          options.onProgress?.(message.value);
        } else if (message.case === "summary") {
          return message.value;
        }
      }
      throw new RerankError({ code: "UNAVAILABLE", message: "the connection was lost before the batch had ended" });
    } catch (error) {
      throw errorOfFetch(error, options.signal);
    }
  }

  async #json<M extends DescMessage>(
    schema: M,
    path: string,
    options: WebCallOptions = {},
    body?: JsonValue,
  ): Promise<MessageShape<M>> {
    const request = body === undefined ? {} : post(JSON.stringify(body));
    try {
      const response = await this.#fetch(path, options, this.#signal(options), request);
      return decodeJson(schema, (await response.json()) as JsonValue);
    } catch (error) {
      throw errorOfFetch(error, options.signal);
    }
  }

  async #fetch(path: string, options: WebCallOptions, signal: AbortSignal, request: RequestInit): Promise<Response> {
    const headers = new Headers(this.#options.headers);
    if (this.#options.apiKey) {
      headers.set("authorization", `Bearer ${this.#options.apiKey}`);
    }
    for (const [name, value] of Object.entries({ ...request.headers, ...options.headers })) {
      headers.set(name, String(value));
    }
    const make = this.#options.fetch ?? fetch;
    const response = await make(`${this.#baseUrl}${path}`, { ...request, headers, signal });
    if (!response.ok) {
      throw await errorOfResponse(response);
    }
    return response;
  }

  #signal({ timeoutMs = this.#options.timeoutMs ?? DEFAULT_TIMEOUT_MS, signal }: WebCallOptions): AbortSignal {
    const timeout = timeoutMs ? [AbortSignal.timeout(timeoutMs)] : [];
    return AbortSignal.any([...timeout, ...(signal ? [signal] : [])]);
  }
}

function post(body: string): RequestInit {
  return { method: "POST", body, headers: { "content-type": "application/json" } };
}

function batchLines(items: Iterable<BatchItem>, { defaults, ordered = false, maxConcurrency }: BatchOptions): string {
  const options = {
    ordered,
    ...(defaults && { defaults: rerankRequest(defaults) }),
    ...(maxConcurrency && { maxConcurrency }),
  };
  const messages = [create(BatchRerankRequestSchema, { message: { case: "options", value: options } })];
  for (const { itemId = "", ...input } of items) {
    const value = { itemId, request: rerankRequest(input) };
    messages.push(create(BatchRerankRequestSchema, { message: { case: "item", value } }));
  }
  return messages.map((message) => `${JSON.stringify(encodeJson(BatchRerankRequestSchema, message))}\n`).join("");
}

async function* linesOf(response: Response): AsyncGenerator<string, void, undefined> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      const lines = (rest + read.value).split("\n");
      rest = lines.pop()!;
      yield* lines.filter((line) => line.trim() !== "");
    }
    if (rest.trim()) {
      yield rest;
    }
  } finally {
    await reader.cancel().catch(() => {}); // What is left of it is not read, as when the loop is left.
  }
}
