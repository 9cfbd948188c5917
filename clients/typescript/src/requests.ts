import { type MessageInitShape, create } from "@bufbuild/protobuf";

import { type DocumentLike, documentOf } from "./documents.js";
import {
  type RerankRequest,
  RerankRequestSchema,
  type WarmDocumentsRequest,
  WarmDocumentsRequestSchema,
} from "./gen/rerank/v1/rerank_service_pb.js";

type Init<Schema extends typeof RerankRequestSchema | typeof WarmDocumentsRequestSchema> = Omit<
  Extract<MessageInitShape<Schema>, { $typeName?: never }>,
  "documents" | "$typeName" | "$unknown"
>;

/** A rerank call: all members of the contract's `RerankRequest`, in camelCase, with documents of any kind. */
export type RerankInput = Init<typeof RerankRequestSchema> & { documents?: readonly DocumentLike[] };

/** A call that computes vectors ahead: all members of `WarmDocumentsRequest`, with documents of any kind. */
export type WarmInput = Init<typeof WarmDocumentsRequestSchema> & { documents: readonly DocumentLike[] };

/** Builds the message of a call. */
export function rerankRequest(input: RerankInput): RerankRequest {
  return create(RerankRequestSchema, { ...input, documents: (input.documents ?? []).map(documentOf) });
}

/** Builds the message of a call. */
export function warmRequest(input: WarmInput): WarmDocumentsRequest {
  return create(WarmDocumentsRequestSchema, { ...input, documents: input.documents.map(documentOf) });
}
