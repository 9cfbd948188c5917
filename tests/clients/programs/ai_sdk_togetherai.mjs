// The AI SDK with its provider for Together.

import { createTogetherAI } from "@ai-sdk/togetherai";
import { rerank } from "ai";
import { key, limitedModel, once, query, run, texts, unknown, url } from "./checks.mjs";

const together = createTogetherAI({ baseURL: `${url}/v1`, apiKey: key });
const call = (model, request) => rerank({ model: together.rerankingModel(model), query, documents: texts, ...request });
const read = (answer) => ({ pairs: answer.ranking.map((entry) => [entry.originalIndex, entry.score]) });

await run({
  strings: async () => read(await call("Salesforce/Llama-Rank-v1")),
  top_n: async () => read(await call("Salesforce/Llama-Rank-v1", { topN: 2 })),
  unknown_model: () => call(unknown),
  bad_request: () => call("Salesforce/Llama-Rank-v1", { query: "" }),
  limited: () => call(limitedModel, { maxRetries: 0 }),
  recovers: async () => read(await call(once("ai-sdk-togetherai"))),
});
