import { type MessageInitShape, create } from "@bufbuild/protobuf";

import type { BatchItem, BatchOptions, BatchResult, BatchSummary } from "./batch_types.js";
import { RerankError, errorOfStatus } from "./errors.js";
import {
  type BatchItemResult,
  BatchProgressSchema,
  type BatchRerankRequest,
  BatchRerankRequestSchema,
  type BatchRerankResponse,
  type Usage,
  UsageSchema,
} from "./gen/rerank/v1/rerank_service_pb.js";
import { rerankRequest } from "./requests.js";

interface Unanswered {
  item: BatchItem;
  sends: number;
}

const DEFAULT_WINDOW = 64;
const DEFAULT_MAX_RESUMES = 8;
/** Most resumes before the first answer: a server that never answered is missing, or the wrong one. */
const RESUMES_UNANSWERED = 2;
const FIRST_DELAY_MS = 200;
const LONGEST_DELAY_MS = 5000;
const BREAKS = new Set(["UNAVAILABLE", "CANCELLED", "INTERNAL", "UNKNOWN"]);

/** The bookkeeping of a batch over all its streams: what is unanswered, and whether a broken stream is resumed. */
export class BatchRun {
  summary: BatchSummary | undefined;
  readonly #options: BatchOptions;
  readonly #window: number;
  readonly #maxResumes: number;
  readonly #startedMs = performance.now();
  readonly #unanswered = new Map<number, Unanswered>();
  #outbox: number[] = [];
  #sent = new Map<number, number>();
  #sentHere = 0;
  #items = 0;
  #streams = 0;
  #isSourceOver = false;
  #fruitless = 0;
  #answered = { succeeded: 0, failed: 0, usage: create(UsageSchema) };
  #before = { ...this.#answered };
  #waiting: (() => void)[] = [];

  constructor(options: BatchOptions) {
    this.#options = options;
    // Twice what is under way, so that the server always has the next item at hand.
    this.#window = options.maxConcurrency ? Math.max(1, 2 * options.maxConcurrency) : DEFAULT_WINDOW;
    this.#maxResumes = options.maxResumes ?? DEFAULT_MAX_RESUMES;
  }

  /** Whether another item may be read. */
  get hasRoom(): boolean {
    return this.#unanswered.size < this.#window;
  }

  /** Waits until something has changed. */
  changed(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Has everything that waits look again. */
  wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    waiting.forEach((resolve) => resolve());
  }

  /** Takes the source's next item, to be sent. */
  add(item: BatchItem): void {
    this.#unanswered.set(this.#items, { item, sends: 0 });
    this.#outbox.push(this.#items++);
    this.wake();
  }

  /** Notes that the source has no further items. */
  endSource(): void {
    this.#isSourceOver = true;
    this.wake();
  }

  /** Begins a stream, on which everything unanswered is sent, and returns its first message. */
  beginStream(): BatchRerankRequest {
    this.#streams++;
    this.#sent = new Map();
    this.#sentHere = 0;
    this.#outbox = [...this.#unanswered.keys()];
    this.#before = { ...this.#answered };
    const { defaults, ordered = false, maxConcurrency } = this.#options;
    const value = {
      ordered,
      ...(defaults && { defaults: rerankRequest(defaults) }),
      ...(maxConcurrency && { maxConcurrency }),
    };
    return create(BatchRerankRequestSchema, { message: { case: "options", value } });
  }

  /** Returns the next message of the stream; undefined: there is none now, null: nor will there be one. */
  next(): BatchRerankRequest | undefined | null {
    const index = this.#outbox.shift();
    if (index === undefined) {
      return this.#isSourceOver ? null : undefined;
    }
    this.#sent.set(this.#sentHere++, index);
    const entry = this.#unanswered.get(index)!;
    entry.sends++;
    const { itemId = "", ...input } = entry.item;
    const value = { itemId, request: rerankRequest(input) };
    return create(BatchRerankRequestSchema, { message: { case: "item", value } });
  }

  /** Takes a message from the server: returns the outcome in it, reports progress and keeps the summary. */
  receive({ message }: BatchRerankResponse): BatchResult | undefined {
    if (message.case === "item") {
      return this.#answer(message.value);
    }
    const { succeeded, failed, usage } = this.#before;
    if (message.case === "progress") {
      const { itemsReceived, itemsSucceeded, itemsFailed } = message.value;
      this.#options.onProgress?.(
        create(BatchProgressSchema, {
          itemsReceived: succeeded + failed + itemsReceived,
          itemsSucceeded: succeeded + itemsSucceeded,
          itemsFailed: failed + itemsFailed,
        }),
      );
    } else if (message.case === "summary") {
      const last = message.value;
      const resumes = this.#streams - 1;
      this.summary = {
        itemsReceived: succeeded + failed + last.itemsReceived,
        itemsSucceeded: succeeded + last.itemsSucceeded,
        itemsFailed: failed + last.itemsFailed,
        usage: addUsage(usage, last.usage),
        latencyMs: resumes ? performance.now() - this.#startedMs : last.latencyMs,
        resumes,
      };
    }
    return undefined;
  }

  #answer(answer: BatchItemResult): BatchResult | undefined {
    const itemIndex = this.#sent.get(answer.itemIndex);
    if (itemIndex === undefined) {
      return undefined; // It was answered before.
    }
    this.#sent.delete(answer.itemIndex);
    this.#unanswered.delete(itemIndex);
    this.wake();
    const { itemId, response, status } = answer;
    if (response) {
      this.#answered.succeeded++;
      this.#answered.usage = addUsage(this.#answered.usage, response.usage);
      return { itemId, itemIndex, response };
    }
    this.#answered.failed++;
    const error = status ? errorOfStatus(status) : new RerankError({ code: "UNKNOWN" });
    return { itemId, itemIndex, error };
  }

  /** Returns how many milliseconds to wait before the next stream; undefined: the error ends the batch. */
  resumeDelayMs(error: RerankError): number | undefined {
    // An error with a request id is a refusal of a server, other than one that stops.
    const isBreak = BREAKS.has(error.code) && (!error.requestId || error.reason === "DRAINING");
    const answeredBefore = this.#before.succeeded + this.#before.failed;
    const answered = this.#answered.succeeded + this.#answered.failed;
    this.#fruitless = answered > answeredBefore ? 0 : this.#fruitless + 1;
    const most = answered ? this.#maxResumes : Math.min(RESUMES_UNANSWERED, this.#maxResumes);
    const isWornOut = [...this.#unanswered.values()].some(({ sends }) => sends > this.#maxResumes);
    if (!isBreak || isWornOut || this.#fruitless > most || this.#maxResumes === 0) {
      return undefined;
    }
    const longest = Math.min(FIRST_DELAY_MS * 2 ** this.#fruitless, LONGEST_DELAY_MS);
    return longest * (0.5 + Math.random() / 2);
  }
}

/** Returns the sum; a cost that only one of them knows counts. */
function addUsage(one: Usage, other: Usage | undefined): Usage {
  const sum: MessageInitShape<typeof UsageSchema> = {};
  for (const { localName } of UsageSchema.fields) {
    const name = localName as Exclude<keyof Usage, "$typeName" | "$unknown">;
    if (one[name] !== undefined || other?.[name] !== undefined) {
      sum[name] = (one[name] ?? 0) + (other?.[name] ?? 0);
    }
  }
  return create(UsageSchema, sum);
}
