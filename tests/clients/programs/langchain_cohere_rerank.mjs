// LangChain's CohereRerank for JavaScript.

import { CohereRerank } from "@langchain/cohere";
import { Document } from "@langchain/core/documents";
import { CohereClient } from "cohere-ai";
import { key, limitedModel, once, pairs, query, run, texts, unknown, url } from "./checks.mjs";

const client = new CohereClient({ token: key, environment: url });
const documents = texts.map((pageContent) => new Document({ pageContent }));
const reranker = (request) => new CohereRerank({ client, model: "rerank-v3.5", topN: 5, ...request });
const read = (found) => ({
  pairs: found.map((document) => [texts.indexOf(document.pageContent), document.metadata.relevanceScore]),
  documents: found.map((document) => document.pageContent),
});

await run({
  strings: async () => pairs(await reranker().rerank(texts, query)),
  documents: async () => read(await reranker().compressDocuments(documents, query)),
  top_n: async () => read(await reranker({ topN: 2 }).compressDocuments(documents, query)),
  unknown_model: () => reranker({ model: unknown }).compressDocuments(documents, query),
  bad_request: () => reranker().compressDocuments(documents, ""),
  limited: () => reranker({ model: limitedModel }).compressDocuments(documents, query),
  recovers: async () => read(await reranker({ model: once("langchain-js") }).compressDocuments(documents, query)),
});
