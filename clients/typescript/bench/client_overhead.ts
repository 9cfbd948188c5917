/**
 * Compares calls through the client with calls of grpc-js with the same messages: time and CPU of this process.
 *
 *     node dist/bench/client_overhead.js 127.0.0.1:50051
 *
 * Rounds of both alternate, and which is first, so that what else the machine does falls on both; the medians of the rounds' ratios are printed.
 */

import { Client, credentials } from "@grpc/grpc-js";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";

import { RerankClient, type RerankRequest, RerankRequestSchema, RerankResponseSchema } from "@rerankd/client";

const ROUNDS = 15;
const CALLS = 1500;
const AT_ONCE = 8;

const target = process.argv[2] ?? "127.0.0.1:50051";
const model = "local/bm25";
const query = "who wrote Dune";
const texts = ["A desert planet.", "Frank Herbert.", "Two moons.", "A novel of 1965."];

const stub = new Client(target, credentials.createInsecure());
const client = new RerankClient(target);

function viaStub(): Promise<unknown> {
  const request = create(RerankRequestSchema, { model, query, documents: texts.map((text) => ({ text })) });
  return new Promise((resolve, reject) => {
    stub.makeUnaryRequest(
      "/rerank.v1.RerankService/Rerank",
      (message: RerankRequest) => Buffer.from(toBinary(RerankRequestSchema, message)),
      (bytes) => fromBinary(RerankResponseSchema, bytes),
      request,
      { deadline: Date.now() + 30_000 },
      (error, response) => (error ? reject(error) : resolve(response)),
    );
  });
}

function viaClient(): Promise<unknown> {
  return client.rerank({ model, query, documents: texts });
}

interface Cost {
  ms: number;
  cpuMs: number;
}

async function measure(call: () => Promise<unknown>, calls: number): Promise<Cost> {
  const started = performance.now();
  const startedCpu = process.cpuUsage();
  let left = calls;
  const work = async () => {
    while (left-- > 0) {
      await call();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  const { user, system } = process.cpuUsage(startedCpu);
  return { ms: performance.now() - started, cpuMs: (user + system) / 1000 };
}

function median(values: number[]): number {
  return values.toSorted((one, other) => one - other)[values.length >> 1]!;
}

await measure(viaStub, CALLS);
await measure(viaClient, CALLS);
const pairs: [Cost, Cost][] = [];
for (let round = 0; round < ROUNDS; round++) {
  if (round % 2) {
    pairs.push([await measure(viaStub, CALLS), await measure(viaClient, CALLS)]);
  } else {
    const own = await measure(viaClient, CALLS);
    pairs.push([await measure(viaStub, CALLS), own]);
  }
}
const speed = median(pairs.map(([bare, own]) => bare.ms / own.ms));
const cpu = median(pairs.map(([bare, own]) => own.cpuMs / bare.cpuMs));
const bare = { ms: median(pairs.map(([cost]) => cost.ms)), cpuMs: median(pairs.map(([cost]) => cost.cpuMs)) };
console.log(`stub: ${Math.round((CALLS / bare.ms) * 1000)} calls/s, ${Math.round((bare.cpuMs / CALLS) * 1000)} us of CPU a call`);
console.log(`client: ${speed.toFixed(2)} of the stub's calls a second, ${cpu.toFixed(2)} of its CPU a call`);
client.close();
stub.close();
