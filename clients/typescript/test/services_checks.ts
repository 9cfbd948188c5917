/** Another service of a real server at `RERANKD_ADDRESS`, which asks for no keys, over the client's connection. */

import assert from "node:assert/strict";
import { it } from "node:test";

import { create } from "@bufbuild/protobuf";

import { RerankClient, RerankError } from "@rerankd/client";
import { AccessService, ListKeysRequestSchema } from "@rerankd/client/protos/access_service";

it("other services are called by their descriptors", async () => {
  using client = new RerankClient();
  const call = client.connection.unary(AccessService.method.listKeys, create(ListKeysRequestSchema));
  await assert.rejects(call, (error) => error instanceof RerankError && error.reason === "SERVICE_DISABLED");
});
