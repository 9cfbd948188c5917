/** Lists the embedded models, then looks at one of them. */

import { RerankClient, ScoreSpaceSchema, ScoringSchema, enumWord } from "@rerankd/client";

const client = new RerankClient();
for await (const { name, scoring } of client.listModels("local")) {
  console.log(name, enumWord(ScoringSchema, scoring));
}
const model = await client.getModel("local/bm25");
console.log(`scores of ${model.name} are ${enumWord(ScoreSpaceSchema, model.scoreSpace)}`);
client.close();
