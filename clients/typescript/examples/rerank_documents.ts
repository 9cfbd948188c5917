/** Reranks a string, a document with an id, and structured content, and prints the best two. */

import { RerankClient } from "@rerankd/client";

const client = new RerankClient();
const response = await client.rerank({
  query: "who wrote Dune",
  documents: [
    "A desert planet with two moons.",
    { id: "herbert", text: "Frank Herbert wrote Dune in 1965." },
    { title: "Dune", review: "A novel about a desert planet." },
  ],
  model: "local/bm25",
  rankFields: ["title", "review"],
  topN: 2,
  returnDocuments: true,
});
response.results.forEach(({ index, document, relevanceScore }, position) => {
  console.log(`${position + 1}. document ${index} ${document?.id || "-"} ${relevanceScore.toFixed(3)}`);
});
console.log(`${response.usage?.documents} documents by ${response.model}`);
client.close();
