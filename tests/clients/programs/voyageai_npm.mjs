// Voyage's SDK for JavaScript.

import { VoyageAIClient } from "voyageai";
import { key, limitedModel, once, pairs, query, run, texts, unknown, url } from "./checks.mjs";

const client = new VoyageAIClient({ apiKey: key, environment: `${url}/v1` });
const rerank = (request, options) => client.rerank({ model: "rerank-2.5", query, documents: texts, ...request }, options);

await run({
  strings: async () => {
    const answer = await rerank({});
    return { ...pairs(answer.data), model: answer.model, tokens: answer.usage.totalTokens };
  },
  top_n: async () => pairs((await rerank({ topK: 2, truncation: true })).data),
  documents: async () => {
    const { data } = await rerank({ returnDocuments: true });
    return { ...pairs(data), documents: data.map((result) => result.document) };
  },
  unknown_model: () => rerank({ model: unknown }),
  bad_request: () => rerank({ documents: [] }),
  limited: () => rerank({ model: limitedModel }, { maxRetries: 0 }),
  recovers: async () => pairs((await rerank({ model: once("voyageai-npm") })).data),
});
