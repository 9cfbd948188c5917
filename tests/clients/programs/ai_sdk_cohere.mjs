// The AI SDK with its provider for Cohere.

import { createCohere } from "@ai-sdk/cohere";
import { rerank } from "ai";
import { key, limitedModel, once, query, run, texts, unknown, url } from "./checks.mjs";

const cohere = createCohere({ baseURL: `${url}/v2`, apiKey: key });
const call = (model, request) => rerank({ model: cohere.reranking(model), query, documents: texts, ...request });
const read = (answer) => ({
  pairs: answer.ranking.map((entry) => [entry.originalIndex, entry.score]),
  documents: answer.ranking.map((entry) => entry.document.text ?? entry.document),
});

await run({
  strings: async () => read(await call("rerank-v3.5")),
  objects_as_json: async () => read(await call("rerank-v3.5", { documents: texts.map((text) => ({ text })) })),
  top_n: async () => read(await call("rerank-v3.5", { topN: 2 })),
  unknown_model: () => call(unknown),
  bad_request: () => call("rerank-v3.5", { query: "" }),
  limited: () => call(limitedModel, { maxRetries: 0 }),
  recovers: async () => read(await call(once("ai-sdk"))),
});
