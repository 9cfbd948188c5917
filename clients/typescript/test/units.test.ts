import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { create } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";

import { type DocumentLike, DocumentSchema, RerankClient, ScoringSchema, enumWord } from "@rerankd/client";
import { documentOf } from "../src/documents.js";
import { enumName } from "../src/enums.js";
import { errorOfStatus } from "../src/errors.js";
import { QuotaFailureSchema, RetryInfoSchema } from "../src/gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "../src/gen/google/rpc/status_pb.js";
import { serviceConfig } from "../src/options.js";
import { ADDRESS_VARIABLE, isBalanced, resolveTarget } from "../src/target.js";

describe("targets", () => {
  const targets: [string, string, boolean][] = [
    ["", "127.0.0.1:50051", false],
    ["localhost", "localhost:50051", false],
    ["localhost:1", "localhost:1", false],
    ["::1", "[::1]:50051", false],
    ["[::1]", "[::1]:50051", false],
    ["[::1]:1", "[::1]:1", false],
    ["dns:///a:1", "dns:///a:1", true],
    ["unix:/run/r.sock", "unix:/run/r.sock", false],
    ["ipv4:10.0.0.1:1,10.0.0.2:2", "ipv4:10.0.0.1:1,10.0.0.2:2", true],
  ];
  for (const [address, target, balanced] of targets) {
    it(`takes ${JSON.stringify(address)}`, () => {
      delete process.env[ADDRESS_VARIABLE];
      assert.equal(resolveTarget(address), target);
      assert.equal(isBalanced(target), balanced);
    });
  }

  it("come from the environment", () => {
    process.env[ADDRESS_VARIABLE] = "there:1";
    assert.equal(resolveTarget(""), "there:1");
    delete process.env[ADDRESS_VARIABLE];
  });

  it("are no URLs", () => {
    assert.throws(() => new RerankClient("http://localhost:8080"), TypeError);
  });
});

describe("the policy", () => {
  it("has health checks where calls are balanced", () => {
    const service = { serviceName: "rerank.v1.RerankService" };
    const balancing = (config: object) => (config as { loadBalancingConfig: object[] }).loadBalancingConfig;
    assert.deepEqual(balancing(serviceConfig(true, 4)), [{ rerankd_healthy_round_robin: service }]);
    assert.deepEqual(balancing(serviceConfig(false, 4)), [{ round_robin: {} }]);
  });

  it("has as many attempts as are asked for", () => {
    assert.match(JSON.stringify(serviceConfig(true, 2)), /"maxAttempts":2/);
    assert.doesNotMatch(JSON.stringify(serviceConfig(true, 1)), /retry/);
    for (const attempts of [0, 6, 1.5]) {
      assert.throws(() => new RerankClient("localhost", { maxAttempts: attempts }), TypeError);
    }
  });
});

describe("documents", () => {
  const written = new Date(0);
  const documents: [DocumentLike, object][] = [
    ["a text", { text: "a text" }],
    [{ text: "a", id: "1", priorScore: 0.5 }, { text: "a", id: "1", priorScore: 0.5 }],
    [{ fields: { title: "t" }, metadata: { n: 1 } }, { fields: { title: "t" }, metadata: { n: 1 } }],
    [{ title: "t", written }, { fields: { title: "t", written: written.toJSON() } }],
    [{ title: "t", text: "a", id: "1" }, { fields: { title: "t", text: "a", id: "1" }, text: "a", id: "1" }],
    [{ content: "c", id: "1" }, { fields: { content: "c", id: "1" }, text: "c", id: "1" }],
    [create(DocumentSchema, { text: "a" }), { text: "a" }],
  ];
  for (const [value, expected] of documents) {
    it(`are made of ${JSON.stringify(value)}`, () => {
      assert.deepEqual(documentOf(value), create(DocumentSchema, expected));
    });
  }

  it("are nothing else", () => {
    for (const value of [null, 1, ["a"], { title: "t", text: 1 }]) {
      assert.throws(() => documentOf(value as never), TypeError);
    }
  });
});

describe("errors", () => {
  it("have limits and delays", () => {
    const details = [
      anyPack(QuotaFailureSchema, create(QuotaFailureSchema, { violations: [{ subject: "s", description: "d" }] })),
      anyPack(RetryInfoSchema, create(RetryInfoSchema, { retryDelay: { seconds: 1n, nanos: 500_000_000 } })),
    ];
    const error = errorOfStatus(create(StatusSchema, { code: 8, message: "no", details }), "req-1");
    assert.deepEqual([error.code, error.reason, error.message], ["RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED", "no"]);
    assert.deepEqual([error.quota, error.retryAfterMs], [[{ subject: "s", description: "d" }], 1500]);
    assert.equal(error.requestId, "req-1");
  });

  it("of codes that gRPC does not have are unknown", () => {
    assert.equal(errorOfStatus(create(StatusSchema, { code: 99 })).code, "UNKNOWN");
  });
});

describe("enums", () => {
  it("are written as JSON has them", () => {
    const value = ScoringSchema.values.find(({ name }) => name.endsWith("_POINTWISE"))!;
    assert.equal(enumWord(ScoringSchema, value.number), "pointwise");
    assert.equal(enumName(ScoringSchema, "pointwise"), value.name);
    assert.equal(enumName(ScoringSchema, "else"), "else");
  });
});
