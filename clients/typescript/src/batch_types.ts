import type { RerankError } from "./errors.js";
import type { BatchProgress, RerankResponse, Usage } from "./gen/rerank/v1/rerank_service_pb.js";
import type { RerankInput } from "./requests.js";

/** One request of a batch. */
export interface BatchItem extends RerankInput {
  /** The caller's name for the item; comes back as it went. */
  itemId?: string;
}

/** How a batch is run. */
export interface BatchOptions {
  /** Values for what items leave unset. */
  defaults?: RerankInput;
  /** Returns results in the order of the items instead of as they finish. */
  ordered?: boolean;
  /** Items under way at once, at least 1. Default: the server's ceiling. */
  maxConcurrency?: number;
  /** Called after every 100 items. */
  onProgress?: (progress: BatchProgress) => void;
  /**
   * How often an item may be sent again because its stream broke, and how many streams may break in a row without an answer
   * (two, before the first one). Default 8; 0: the first break ends the batch.
   */
  maxResumes?: number;
}

/** The outcome of one item: a response, or why there is none. */
export type BatchResult = {
  /** The item's name, as it went. */
  itemId: string;
  /** Zero-based position of the item in the source. */
  itemIndex: number;
} & ({ response: RerankResponse; error?: undefined } | { response?: undefined; error: RerankError });

/** The totals of a batch. */
export interface BatchSummary {
  /** Items that the server has read. */
  itemsReceived: number;
  /** Items answered. */
  itemsSucceeded: number;
  /** Items answered with a failure. */
  itemsFailed: number;
  /** What all items consumed. */
  usage: Usage;
  /** Milliseconds from first item to last answer. */
  latencyMs: number;
  /** How often the stream broke and another one took over its unanswered items. */
  resumes: number;
}
