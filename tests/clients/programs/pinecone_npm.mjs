// Pinecone's SDK for JavaScript.

import { Pinecone } from "@pinecone-database/pinecone";
import { key, limitedModel, query, run, texts, unknown, url } from "./checks.mjs";

const { inference } = new Pinecone({ apiKey: key, controllerHostUrl: url });
const rerank = (request) => inference.rerank({ model: "bge-reranker-v2-m3", query, documents: texts, ...request });
const read = (answer) => ({
  pairs: answer.data.map((result) => [result.index, result.score]),
  units: answer.usage.rerankUnits,
  model: answer.model,
});

await run({
  strings: async () => read(await rerank({ returnDocuments: false })),
  top_n: async () => read(await rerank({ topN: 2 })),
  documents: async () => {
    const answer = await rerank({});
    return { ...read(answer), documents: answer.data.map((result) => result.document.text) };
  },
  unknown_model: () => rerank({ model: unknown }),
  bad_request: () => rerank({ query: "long".repeat(30_000) }),
  limited: () => rerank({ model: limitedModel }),
});
