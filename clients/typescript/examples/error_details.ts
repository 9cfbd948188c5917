/** Makes three calls that fail, and reads the details of their errors. */

import { RerankClient, RerankError } from "@rerankd/client";

/** Returns the error of a call. */
async function errorOf(call: Promise<unknown>): Promise<RerankError> {
  try {
    await call;
  } catch (error) {
    if (error instanceof RerankError) {
      return error;
    }
    throw error;
  }
  throw new Error("the call did not fail");
}

const client = new RerankClient();
const query = "who wrote Dune";

const invalid = await errorOf(client.rerank({ query, topN: 0 }));
console.log(`${invalid.code} ${invalid.reason}: ${invalid.fields.map(({ field }) => field).join(", ")}`);

const missing = await errorOf(client.getModel("local/bm52"));
console.log(`${missing.code} ${missing.reason}: did you mean ${missing.metadata["suggestion"]}?`);

const late = await errorOf(client.rerank({ query, documents: ["Frank Herbert."] }, { timeoutMs: 0.001 }));
console.log(`${late.code} ${late.reason}`);
client.close();
