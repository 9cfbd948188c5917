// Cohere's SDK for JavaScript, its v1 API.

import { CohereClient } from "cohere-ai";
import { key, limitedModel, objects, once, pairs, query, run, texts, unknown, url } from "./checks.mjs";

const client = new CohereClient({ token: key, environment: url });
const rerank = (request, options) => client.rerank({ model: "rerank-v3.5", query, documents: texts, ...request }, options);

await run({
  strings: async () => {
    const answer = await rerank({});
    return { ...pairs(answer.results), id: answer.id, version: answer.meta.apiVersion.version };
  },
  objects: async () => pairs((await rerank({ documents: texts.map((text) => ({ text })) })).results),
  rank_fields: async () => pairs((await rerank({ documents: objects, rankFields: ["body"] })).results),
  top_n: async () => pairs((await rerank({ topN: 2 })).results),
  documents: async () => {
    const { results } = await rerank({ returnDocuments: true });
    return { ...pairs(results), documents: results.map((result) => result.document.text) };
  },
  key: async () => ({ valid: (await client.checkApiKey()).valid }),
  unknown_model: () => rerank({ model: unknown }),
  bad_request: () => rerank({ documents: [] }),
  limited: () => rerank({ model: limitedModel }, { maxRetries: 0 }),
  recovers: async () => pairs((await rerank({ model: once("cohere-ai-v1") })).results),
});
