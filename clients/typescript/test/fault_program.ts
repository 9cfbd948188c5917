/** Obeys the commands of `tests/clients/fault_script.py` with this client. */

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

import { RerankClient, RerankError } from "@rerankd/client";

interface Command {
  do: "open" | "rerank" | "load" | "batch";
  target: string;
  api_key: string;
  ca_file: string;
  timeout_s: number | null;
  model: string;
  query: string;
  queries: string[];
  documents: string[];
  seconds: number;
  workers: number;
  pause_ms: number;
  max_concurrency: number;
  leave_after: number | null;
}

const MAX_ERRORS = 5;
let client = new RerankClient();

function open(command: Command): object {
  client.close();
  client = new RerankClient(command.target, {
    apiKey: command.api_key,
    timeoutMs: command.timeout_s! * 1000,
    ...(command.ca_file && { tls: { ca: readFileSync(command.ca_file) } }),
  });
  return {};
}

async function rerank({ model, query, documents, timeout_s }: Command): Promise<object> {
  try {
    const options = timeout_s === null ? {} : { timeoutMs: timeout_s * 1000 };
    const { results } = await client.rerank({ model, query, documents }, options);
    return { results: results.map(({ index, relevanceScore }) => [index, relevanceScore]) };
  } catch (error) {
    return { error: describe(error) };
  }
}

async function load({ model, query, documents, seconds, workers, pause_ms }: Command): Promise<object> {
  const end = performance.now() + seconds * 1000;
  const errors: object[] = [];
  let answered = 0;
  const work = async () => {
    while (performance.now() < end) {
      try {
        await client.rerank({ model, query, documents });
        answered++;
      } catch (error) {
        errors.push(describe(error));
      }
      await sleep(pause_ms);
    }
  };
  await Promise.all(Array.from({ length: workers }, work));
  return { answered, failed: errors.length, errors: errors.slice(0, MAX_ERRORS) };
}

async function batch(command: Command): Promise<object> {
  const { model, documents, queries, max_concurrency: maxConcurrency, leave_after: leaveAfter } = command;
  const reply = { answered: [] as string[], failed: {} as Record<string, object>, read: 0, received: null as number | null };
  function* items() {
    for (const [number, query] of queries.entries()) {
      reply.read++;
      yield { itemId: String(number), query, documents };
    }
  }
  let count = 0;
  try {
    const run = client.batchRerank(items(), { defaults: { model }, maxConcurrency });
    for await (const { itemId, error } of run) {
      if (error) {
        reply.failed[itemId] = describe(error);
      } else {
        reply.answered.push(itemId);
      }
      if (++count === leaveAfter) {
        break;
      }
    }
    reply.received = run.summary?.itemsReceived ?? null;
  } catch (error) {
    return { ...reply, error: describe(error) };
  }
  return reply;
}

function describe(error: unknown): object {
  if (!(error instanceof RerankError)) {
    return { code: "UNKNOWN", message: String(error) };
  }
  return {
    code: error.code,
    reason: error.reason,
    message: error.message,
    metadata: error.metadata,
    fields: error.fields.map(({ field, description }) => [field, description]),
    quota: error.quota.map(({ subject, description }) => [subject, description]),
    retry_after_s: error.retryAfterMs === undefined ? null : error.retryAfterMs / 1000,
    request_id: error.requestId ?? null,
  };
}

const verbs = { open, rerank, load, batch };
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line) as Command;
  console.log(JSON.stringify(await verbs[command.do](command)));
}
client.close();
