/** Reranks a stream of items; the one that is not valid fails alone. */

import { RerankClient } from "@rerankd/client";

const documents = ["Frank Herbert wrote Dune.", "A desert planet with two moons."];

/** The source; a batch reads it no faster than results are taken. It may be an async generator, too. */
function* items() {
  yield { itemId: "author", query: "who wrote Dune", documents };
  yield { itemId: "blank", query: " ", documents };
  yield { itemId: "planet", query: "desert planet", documents };
}

const client = new RerankClient();
const batch = client.batchRerank(items(), { defaults: { model: "local/bm25" }, ordered: true, maxConcurrency: 2 });
for await (const { itemId, response, error } of batch) {
  if (error) {
    console.log(`${itemId}: ${error.reason} ${error.fields[0]?.field}`);
  } else {
    console.log(`${itemId}: document ${response.results[0]?.index} is the best`);
  }
}
console.log(`${batch.summary?.itemsSucceeded} answered, ${batch.summary?.itemsFailed} failed`);
client.close();
