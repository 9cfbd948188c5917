import { create } from "@bufbuild/protobuf";

import { Batch } from "./batch.js";
import type { BatchItem, BatchOptions } from "./batch_types.js";
import { Connection } from "./connection.js";
import { Health, HealthCheckRequestSchema, HealthCheckResponse_ServingStatus } from "./gen/grpc/health/v1/health_pb.js";
import {
  GetModelRequestSchema,
  ListModelsRequestSchema,
  type Model,
  ModelSchema,
  type RerankResponse,
  RerankService,
  type WarmDocumentsResponse,
} from "./gen/rerank/v1/rerank_service_pb.js";
import type { CallOptions, ClientOptions } from "./options.js";
import { type RerankInput, type WarmInput, rerankRequest, warmRequest } from "./requests.js";

/** What the health service says of a service. */
export type ServingStatus = keyof typeof HealthCheckResponse_ServingStatus;

/**
 * Calls a rerank service over gRPC.
 *
 * It connects on the first call, and again whenever a connection is lost. Make one and keep it; close it at the end, since
 * its connections keep the process alive. Failed calls reject with a {@link RerankError}.
 *
 * ```ts
 * const client = new RerankClient("localhost:50051");
 * const { results } = await client.rerank({ query: "who wrote Dune?", documents: ["A planet.", "Frank Herbert."] });
 * ```
 */
export class RerankClient {
  /** The connection, for calls of the server's other services by their descriptors. */
  readonly connection: Connection;

  /**
   * @param target `host`, `host:port`, `dns:///host:port`, `ipv4:10.0.0.1:50051,10.0.0.2:50051` or `unix:/path`; default:
   *   `RERANKD_ADDRESS`, else 127.0.0.1:50051.
   * @throws TypeError The target or an option cannot be used.
   */
  constructor(target = "", options: ClientOptions = {}) {
    this.connection = new Connection(target, options);
  }

  /** Closes the connections once the calls under way have ended. */
  close(): void {
    this.connection.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Scores every document against the query and returns the best ones, best first. */
  async rerank(request: RerankInput, options?: CallOptions): Promise<RerankResponse> {
    return this.connection.unary(RerankService.method.rerank, rerankRequest(request), options);
  }

  /**
   * Reranks a stream of items; iterate over what it returns.
   *
   * Items are read only as fast as results are taken: at most twice `maxConcurrency` (64 without it) are unanswered at one
   * time. A stream that breaks, because a worker, a server or the connection is gone, is followed by another one for the
   * items not answered yet; each item is answered once.
   */
  batchRerank(
    items: Iterable<BatchItem> | AsyncIterable<BatchItem>,
    options: BatchOptions & CallOptions = {},
  ): Batch {
    return new Batch(this.connection, items, options);
  }

  /** Computes the vectors of documents ahead, so that later calls with them cost little more than the query. */
  async warmDocuments(request: WarmInput, options?: CallOptions): Promise<WarmDocumentsResponse> {
    return this.connection.unary(RerankService.method.warmDocuments, warmRequest(request), options);
  }

  /** Returns one model by its name or an alias. */
  async getModel(name: string, options?: CallOptions): Promise<Model> {
    const request = create(GetModelRequestSchema, { model: name });
    const response = await this.connection.unary(RerankService.method.getModel, request, options);
    return response.model ?? create(ModelSchema);
  }

  /**
   * Iterates over the models a caller may name, by name.
   *
   * @param provider Only its models; default: all.
   * @param options For each page.
   */
  async *listModels(provider = "", options?: CallOptions): AsyncGenerator<Model, void, undefined> {
    let pageToken = "";
    do {
      const request = create(ListModelsRequestSchema, { provider, pageToken });
      const page = await this.connection.unary(RerankService.method.listModels, request, options);
      yield* page.models;
      pageToken = page.nextPageToken;
    } while (pageToken);
  }

  /**
   * Asks the standard health service, over a connection of its own, because calls go to no server that is not serving.
   *
   * @param service Name of a service; default: the server as a whole.
   */
  async health(service = "", options?: CallOptions): Promise<ServingStatus> {
    const connection = this.connection.forHealth();
    try {
      const request = create(HealthCheckRequestSchema, { service });
      const { status } = await connection.unary(Health.method.check, request, options);
      return (HealthCheckResponse_ServingStatus[status] ?? "UNKNOWN") as ServingStatus;
    } finally {
      connection.close();
    }
  }
}
