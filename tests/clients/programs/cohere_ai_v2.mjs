// Cohere's SDK for JavaScript, its v2 API.

import { CohereClientV2 } from "cohere-ai";
import { key, limitedModel, once, pairs, query, run, texts, unknown, url } from "./checks.mjs";

const client = new CohereClientV2({ token: key, environment: url });
const rerank = (request, options) => client.rerank({ model: "rerank-v3.5", query, documents: texts, ...request }, options);

await run({
  strings: async () => {
    const answer = await rerank({});
    return { ...pairs(answer.results), id: answer.id, version: answer.meta.apiVersion.version };
  },
  top_n: async () => pairs((await rerank({ topN: 2 })).results),
  options: async () => pairs((await rerank({ maxTokensPerDoc: 256, priority: 1 })).results),
  models: async () => ({ models: (await client.models.list({ endpoint: "rerank" })).models.map((model) => model.name) }),
  unknown_model: () => rerank({ model: unknown }),
  bad_request: () => rerank({ documents: [] }),
  limited: () => rerank({ model: limitedModel }, { maxRetries: 0 }),
  recovers: async () => pairs((await rerank({ model: once("cohere-ai-v2") })).results),
});
