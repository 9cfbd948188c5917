// The AI SDK with the community's provider for Voyage.

import { rerank } from "ai";
import { createVoyage } from "voyage-ai-provider";
import { key, limitedModel, once, query, run, texts, unknown, url } from "./checks.mjs";

const voyage = createVoyage({ baseURL: `${url}/v1`, apiKey: key });
const call = (model, request) => rerank({ model: voyage.rerankingModel(model), query, documents: texts, ...request });
const read = (answer) => ({ pairs: answer.ranking.map((entry) => [entry.originalIndex, entry.score]) });

await run({
  strings: async () => read(await call("rerank-2.5")),
  top_n: async () => read(await call("rerank-2.5", { topN: 2 })),
  unknown_model: () => call(unknown),
  bad_request: () => call("rerank-2.5", { query: "" }),
  limited: () => call(limitedModel, { maxRetries: 0 }),
  recovers: async () => read(await call(once("ai-sdk-voyage"))),
});
