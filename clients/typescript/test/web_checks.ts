/** Calls a real server at `RERANKD_URL`, which asks for no keys, over HTTP and at `RERANKD_ADDRESS` over gRPC. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { create } from "@bufbuild/protobuf";

import { RerankClient } from "@rerankd/client";
import {
  CacheControl,
  type RerankResponse,
  RerankError,
  RerankResponseSchema,
  RerankWebClient,
  ScoreNormalization,
  ScoreSpace,
  Truncation,
} from "@rerankd/client/web";

const client = new RerankWebClient(process.env["RERANKD_URL"]);
const documents = ["A desert planet.", { id: "2", text: "Frank Herbert wrote Dune." }, { title: "Dune", year: 1965 }];
const request = {
  model: "local/bm25",
  query: "who wrote Dune",
  documents,
  truncation: Truncation.END,
  cache: CacheControl.NO_STORE,
  normalization: ScoreNormalization.MINMAX,
  returnDocuments: true,
  includeDetails: true,
};

/** What an answer says, without what differs from call to call. */
function facts({ model, results, usage, extraFields }: RerankResponse): object {
  const scoreSpace = extraFields?.scoreSpace;
  return create(RerankResponseSchema, { model, results, ...(usage && { usage }), extraFields: { scoreSpace: scoreSpace ?? 0 } });
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) {
    found.push(item);
  }
  return found;
}

async function errorOf(call: Promise<unknown>): Promise<RerankError> {
  const error: unknown = await call.then(
    () => assert.fail("the call did not fail"),
    (failure: unknown) => failure,
  );
  assert.ok(error instanceof RerankError);
  return error;
}

describe("over HTTP", () => {
  it("an answer is the same as over gRPC", async () => {
    using grpc = new RerankClient();
    const [web, rpc] = [await client.rerank(request), await grpc.rerank(request)];
    assert.equal(web.extraFields?.scoreSpace, ScoreSpace.RELATIVE);
    assert.equal(web.extraFields?.chunks.length, 1);
    assert.deepEqual(facts(web), facts(rpc));
  });

  it("models are the same as over gRPC", async () => {
    using grpc = new RerankClient();
    const [web, rpc] = [await all(client.listModels("local")), await all(grpc.listModels("local"))];
    assert.ok(web.length > 3);
    assert.deepEqual(web, rpc);
    assert.deepEqual(await client.getModel("local/bm25"), await grpc.getModel("local/bm25"));
  });

  it("errors have their details", async () => {
    const invalid = await errorOf(client.rerank({ query: "q", topN: 0 }));
    assert.deepEqual([invalid.code, invalid.reason], ["INVALID_ARGUMENT", "INVALID_REQUEST"]);
    assert.deepEqual(invalid.fields.map(({ field }) => field), ["documents", "top_n"]);
    const missing = await errorOf(client.getModel("local/bm52"));
    assert.deepEqual([missing.code, missing.reason], ["NOT_FOUND", "MODEL_NOT_FOUND"]);
    assert.ok(missing.requestId);
  });

  it("calls end by their signal and their deadline", async () => {
    const cancelled = await errorOf(client.rerank(request, { signal: AbortSignal.abort("enough") }));
    assert.deepEqual([cancelled.code, cancelled.cause], ["CANCELLED", "enough"]);
    const slow = new RerankWebClient("http://never", {
      fetch: (_, init) => new Promise((_resolve, reject) => {
        // As a connection does, and the timer of a signal does not, this keeps the process from ending meanwhile.
        const connection = setTimeout(reject, 60_000);
        init!.signal!.addEventListener("abort", () => {
          clearTimeout(connection);
          reject(init!.signal!.reason);
        });
      }),
    });
    assert.equal((await errorOf(slow.rerank(request, { timeoutMs: 1 }))).code, "DEADLINE_EXCEEDED");
  });

  it("a server that is not there is unavailable", async () => {
    assert.equal((await errorOf(new RerankWebClient("http://127.0.0.1:1").rerank(request))).code, "UNAVAILABLE");
  });

  it("an item of a batch fails alone", async () => {
    const items = ["who wrote Dune", " ", "planet"].map((query, number) => ({ itemId: `${number}`, query, documents }));
    const batch = client.batchRerank(items, { defaults: { model: "local/bm25" }, ordered: true, maxConcurrency: 2 });
    const outcomes: unknown[] = [];
    let read = await batch.next();
    for (; !read.done; read = await batch.next()) {
      const { itemId, response, error } = read.value;
      outcomes.push([itemId, response ? response.results.length : `${error.reason} ${error.fields[0]?.field}`]);
    }
    assert.deepEqual(outcomes, [["0", 3], ["1", "INVALID_REQUEST query"], ["2", 3]]);
    assert.deepEqual([read.value?.itemsSucceeded, read.value?.itemsFailed], [2, 1]);
  });

  it("a batch can be left", async () => {
    const items = Array.from({ length: 200 }, () => ({ query: "q", documents }));
    for await (const { response } of client.batchRerank(items, { defaults: { model: "local/bm25" } })) {
      assert.ok(response);
      break;
    }
  });
});
