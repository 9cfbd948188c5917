/** Calls of a server that answers as a test says. */

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData, type ServerDuplexStream } from "@grpc/grpc-js";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";

import {
  BatchRerankRequestSchema,
  BatchRerankResponseSchema,
  type BatchRerankRequest,
  type BatchRerankResponse,
  RerankClient,
  RerankError,
  type RerankRequest,
  RerankRequestSchema,
  type RerankResponse,
  RerankResponseSchema,
} from "@rerankd/client";

const path = (name: string) => `/rerank.v1.RerankService/${name}`;

describe("a call", () => {
  const server = new Server();
  const heard: { authorization: string; team: string; agent: string }[] = [];
  let cancelledCalls = 0;
  let batchMessages = 0;
  let client: RerankClient;
  let target: string;

  before(async () => {
    server.addService(
      {
        Rerank: {
          path: path("Rerank"),
          requestStream: false,
          responseStream: false,
          requestSerialize: (value: RerankRequest) => Buffer.from(toBinary(RerankRequestSchema, value)),
          requestDeserialize: (bytes: Buffer) => fromBinary(RerankRequestSchema, bytes),
          responseSerialize: (value: RerankResponse) => Buffer.from(toBinary(RerankResponseSchema, value)),
          responseDeserialize: (bytes: Buffer) => fromBinary(RerankResponseSchema, bytes),
        },
        BatchRerank: {
          path: path("BatchRerank"),
          requestStream: true,
          responseStream: true,
          requestSerialize: (value: BatchRerankRequest) => Buffer.from(toBinary(BatchRerankRequestSchema, value)),
          requestDeserialize: (bytes: Buffer) => fromBinary(BatchRerankRequestSchema, bytes),
          responseSerialize: (value: BatchRerankResponse) => Buffer.from(toBinary(BatchRerankResponseSchema, value)),
          responseDeserialize: (bytes: Buffer) => fromBinary(BatchRerankResponseSchema, bytes),
        },
      },
      {
        Rerank: (call: ServerUnaryCall<RerankRequest, RerankResponse>, answer: sendUnaryData<RerankResponse>) => {
          const header = (name: string) => String(call.metadata.get(name)[0] ?? "");
          heard.push({ authorization: header("authorization"), team: header("x-team"), agent: header("user-agent") });
          if (call.request.query === "wait") {
            call.on("cancelled", () => cancelledCalls++);
          } else {
            answer(null, create(RerankResponseSchema, { model: "m" }));
          }
        },
        BatchRerank: (call: ServerDuplexStream<BatchRerankRequest, BatchRerankResponse>) => {
          call.on("data", () => batchMessages++);
          call.on("cancelled", () => cancelledCalls++);
        },
      },
    );
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) => {
        error ? reject(error) : resolve(bound);
      });
    });
    target = `ipv4:127.0.0.1:${port}`;
    client = new RerankClient(target, {
      apiKey: "k",
      metadata: { "x-team": "search" },
      userAgent: "app/1",
    });
  });

  after(() => {
    client.close();
    server.forceShutdown();
  });

  it("has key, metadata and user agent, on servers without health checks too", async () => {
    await client.rerank({ query: "q", documents: ["a"] }, { metadata: { "x-team": "ads" } });
    await client.rerank({ query: "q", documents: ["a"] });
    const [first, second] = heard.splice(0);
    assert.deepEqual([first?.authorization, first?.team, second?.team], ["Bearer k", "ads", "search"]);
    assert.match(first!.agent, /^app\/1 rerankd-typescript\/\d/);
  });

  it("is cancelled by its signal", async () => {
    const controller = new AbortController();
    const call = client.rerank({ query: "wait", documents: ["a"] }, { signal: controller.signal });
    while (heard.length === 0) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    controller.abort(new Error("enough"));
    await assert.rejects(call, (error) => {
      assert.ok(error instanceof RerankError && error.cause instanceof Error);
      assert.deepEqual([error.code, error.cause.message], ["CANCELLED", "enough"]);
      return true;
    });
    while (cancelledCalls === 0) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    await assert.rejects(client.rerank({ query: "q" }, { signal: controller.signal }), RerankError);
  });

  it("of a batch is cancelled by its signal, and its source is closed", async () => {
    const controller = new AbortController();
    let isClosed = false;
    async function* items() {
      try {
        while (true) {
          yield { query: "q", documents: ["a"] };
        }
      } finally {
        isClosed = true;
        controller.signal.aborted || assert.fail("closed too early");
      }
    }
    const before = cancelledCalls;
    const batch = client.batchRerank(items(), { maxConcurrency: 1, signal: controller.signal });
    const next = batch[Symbol.asyncIterator]().next();
    while (batchMessages === 0) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    controller.abort();
    await assert.rejects(next, (error) => error instanceof RerankError && error.code === "CANCELLED");
    while (cancelledCalls === before || !isClosed) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  });

  it("of a batch fails with what its source throws", async () => {
    function* items() {
      yield { query: "q", documents: ["a"] };
      throw new RangeError("no more");
    }
    const read = async () => {
      for await (const _ of client.batchRerank(items())) {
        assert.fail("there is no answer");
      }
    };
    await assert.rejects(read, RangeError);
  });

  it("of a batch fails with an item that is none", async () => {
    const read = async () => {
      for await (const _ of client.batchRerank([{ query: "q", documents: [null as never] }])) {
        assert.fail("there is no answer");
      }
    };
    await assert.rejects(read, TypeError);
  });

  it("under way is answered after the client is closed, and another one is refused", async () => {
    heard.length = 0;
    const closed = new RerankClient(target);
    await closed.rerank({ query: "q", documents: ["a"] });
    const last = closed.rerank({ query: "q", documents: ["a"] });
    while (heard.length < 2) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    closed.close();
    assert.equal((await last).model, "m");
    const isRefusal = (error: unknown) => error instanceof RerankError && error.message === "the client is closed";
    await assert.rejects(closed.rerank({ query: "q" }), isRefusal);
    await assert.rejects(closed.batchRerank([])[Symbol.asyncIterator]().next(), isRefusal);
  });
});
