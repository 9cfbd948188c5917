/** The compressor in a retriever of LangChain.js, with a real server at `RERANKD_ADDRESS` and `RERANKD_URL`. */

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";

import { Document } from "@langchain/core/documents";
import { BaseDocumentCompressor } from "@langchain/core/retrievers/document_compressors";

import { RerankClient, RerankError } from "@rerankd/client";
import { RerankdCompressor } from "@rerankd/client/langchain";
import { RerankWebClient } from "@rerankd/client/web";

const model = "local/bm25";
const documents = [
  new Document({ pageContent: "A desert planet.", metadata: { title: "Arrakis", page: 1 } }),
  new Document({ pageContent: "Frank Herbert wrote Dune.", metadata: { title: "Author", tags: ["a"] }, id: "herbert" }),
  new Document({ pageContent: "Two moons.", metadata: { title: "Dune" } }),
];

describe("the compressor", () => {
  const client = new RerankClient();
  after(() => client.close());

  it("returns copies of the best documents with their scores", async () => {
    const compressor = new RerankdCompressor({ client, model, topN: 2 });
    assert.ok(compressor instanceof BaseDocumentCompressor);
    const [best, ...others] = await compressor.compressDocuments(documents, "who wrote Dune");
    assert.equal(others.length, 1);
    const { relevanceScore, ...metadata } = best!.metadata;
    assert.ok(relevanceScore > 0);
    assert.deepEqual([best!.pageContent, best!.id, metadata], ["Frank Herbert wrote Dune.", "herbert", documents[1]!.metadata]);
    assert.ok(!("relevanceScore" in documents[1]!.metadata));
  });

  it("scores members of the metadata", async () => {
    const compressor = new RerankdCompressor({ client, model, topN: 1, rankFields: ["title"] });
    const [best] = await compressor.compressDocuments(documents, "Dune");
    assert.equal(best!.pageContent, "Two moons.");
  });

  it("takes the client of browsers", async () => {
    const compressor = new RerankdCompressor({ client: new RerankWebClient(process.env["RERANKD_URL"]), model, topN: 1 });
    const [best] = await compressor.compressDocuments(documents, "who wrote Dune");
    assert.equal(best!.id, "herbert");
  });

  it("asks for nothing without documents", async () => {
    const client = { rerank: () => assert.fail("it was asked") };
    assert.deepEqual(await new RerankdCompressor({ client }).compressDocuments([], "q"), []);
  });

  it("fails with the client's error", async () => {
    const compressor = new RerankdCompressor({ client, model: "local/bm52" });
    const call = compressor.compressDocuments(documents, "q");
    await assert.rejects(call, (error) => error instanceof RerankError && error.reason === "MODEL_NOT_FOUND");
  });
});
