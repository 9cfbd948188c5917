/**
 * Calls several replicas in turn, over one channel that leaves out those that are not serving.
 *
 * `RERANKD_ADDRESS` names them: `dns:///rerankd:50051`, or `ipv4:10.0.0.1:50051,10.0.0.2:50051`.
 */

import { RerankClient } from "@rerankd/client";

const SERVICE = "rerank.v1.RerankService";

const client = new RerankClient();
let answered = 0;
for (let call = 0; call < 20; call++) {
  const { results } = await client.rerank({
    model: "local/bm25",
    query: "who wrote Dune",
    documents: ["A desert planet.", "Frank Herbert."],
  });
  answered += Number(results.length === 2);
}
console.log(`${answered} of 20 calls answered`);
console.log(`${SERVICE} is ${(await client.health(SERVICE)).toLowerCase()}`);
client.close();
