/** Calls of servers that say whether they are serving. */

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import { Server, ServerCredentials, status, type ServerWritableStream, type sendUnaryData } from "@grpc/grpc-js";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";

import { RerankClient, RerankError, RerankRequestSchema, type RerankResponse, RerankResponseSchema } from "@rerankd/client";
import {
  type HealthCheckRequest,
  HealthCheckRequestSchema,
  type HealthCheckResponse,
  HealthCheckResponse_ServingStatus as Status,
  HealthCheckResponseSchema,
} from "../src/gen/grpc/health/v1/health_pb.js";

type Watch = ServerWritableStream<HealthCheckRequest, HealthCheckResponse>;

class Replica {
  calls = 0;
  port = 0;
  readonly #server = new Server();
  readonly #watches = new Set<Watch>();
  #status: Status;

  constructor(status: Status) {
    this.#status = status;
    const rerank = {
      path: "/rerank.v1.RerankService/Rerank",
      requestStream: false,
      responseStream: false,
      requestSerialize: () => Buffer.alloc(0),
      requestDeserialize: (bytes: Buffer) => fromBinary(RerankRequestSchema, bytes),
      responseSerialize: (value: RerankResponse) => Buffer.from(toBinary(RerankResponseSchema, value)),
      responseDeserialize: (bytes: Buffer) => fromBinary(RerankResponseSchema, bytes),
    };
    const watch = {
      path: "/grpc.health.v1.Health/Watch",
      requestStream: false,
      responseStream: true,
      requestSerialize: () => Buffer.alloc(0),
      requestDeserialize: (bytes: Buffer) => fromBinary(HealthCheckRequestSchema, bytes),
      responseSerialize: (value: HealthCheckResponse) => Buffer.from(toBinary(HealthCheckResponseSchema, value)),
      responseDeserialize: (bytes: Buffer) => fromBinary(HealthCheckResponseSchema, bytes),
    };
    this.#server.addService(
      { Rerank: rerank, Watch: watch },
      {
        Rerank: (_: unknown, answer: sendUnaryData<RerankResponse>) => {
          this.calls++;
          answer(null, create(RerankResponseSchema));
        },
        Watch: (call: Watch) => {
          this.#watches.add(call);
          call.on("cancelled", () => this.#watches.delete(call));
          this.#tell(call);
        },
      },
    );
  }

  get watches(): number {
    return this.#watches.size;
  }

  async start(): Promise<void> {
    this.port = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
        error ? reject(error) : resolve(port);
      });
    });
  }

  say(status: Status): void {
    this.#status = status;
    this.#watches.forEach((call) => this.#tell(call));
  }

  /** Ends the watches with an error. */
  breakWatches(): void {
    this.#watches.forEach((call) => call.emit("error", { code: status.UNAVAILABLE, details: "broken" }));
    this.#watches.clear();
  }

  stop(): void {
    this.#server.forceShutdown();
  }

  #tell(call: Watch): void {
    call.write(create(HealthCheckResponseSchema, { status: this.#status }));
  }
}

describe("a server that is not serving", () => {
  const paused = new Replica(Status.NOT_SERVING);
  const other = new Replica(Status.SERVING);
  let client: RerankClient;
  const call = () => client.rerank({ query: "q", documents: ["a"] });
  const callUntil = async (isDone: () => boolean) => {
    while (!isDone()) {
      await call().catch((error: unknown) => assert.ok(error instanceof RerankError));
    }
  };

  before(async () => {
    await Promise.all([paused.start(), other.start()]);
    client = new RerankClient(`ipv4:127.0.0.1:${paused.port},127.0.0.1:${other.port}`, { maxAttempts: 1 });
  });

  after(() => {
    client.close();
    paused.stop();
    other.stop();
  });

  it("gets no call from the start", async () => {
    for (let count = 0; count < 20; count++) {
      await call();
    }
    await callUntil(() => paused.watches === 1);
    assert.deepEqual([paused.calls, other.calls >= 20], [0, true]);
  });

  it("gets calls once it is serving", async () => {
    paused.say(Status.SERVING);
    await callUntil(() => paused.calls > 0);
  });

  it("gets none while its watch is broken, and is watched again", async () => {
    const [pausedWas, otherWas] = [paused.calls, other.calls];
    paused.breakWatches();
    await callUntil(() => other.calls - otherWas > 2 * (paused.calls - pausedWas) + 20);
    await callUntil(() => paused.watches === 1 && paused.calls > pausedWas + 20);
  });

  it("fails the calls where there is no other", async () => {
    paused.say(Status.NOT_SERVING);
    other.say(Status.NOT_SERVING);
    let error: unknown;
    while (!error) {
      await call().catch((failure: unknown) => (error = failure));
    }
    assert.ok(error instanceof RerankError);
    assert.equal(error.code, "UNAVAILABLE");
    assert.match(error.message, /unhealthy/);
  });

  it("is called by its host and port, which may be a proxy's", async () => {
    using plain = new RerankClient(`127.0.0.1:${paused.port}`, { maxAttempts: 1 });
    await plain.rerank({ query: "q", documents: ["a"] });
  });

  it("is watched no longer once the client is closed", async () => {
    client.close();
    while (paused.watches + other.watches > 0) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  });
});
