import { type JsonObject, type MessageInitShape, create, isMessage } from "@bufbuild/protobuf";

import { type Document, DocumentSchema } from "./gen/rerank/v1/rerank_service_pb.js";

/**
 * What stands for a document: its text, a document, or any other object, which is structured content, scored whole or by
 * `rankFields`.
 */
export type DocumentLike = string | Document | MessageInitShape<typeof DocumentSchema> | Record<string, unknown>;

const OWN = new Set(DocumentSchema.fields.map((field) => field.localName));

/**
 * Returns the document of a value.
 *
 * An object whose members are all those of `Document` (text, id, fields, priorScore, metadata, image) is one. Any other is
 * structured content; a text and an id among its members are the document's, too.
 *
 * @throws TypeError It is no object, or its text is no string.
 */
export function documentOf(value: DocumentLike): Document {
  if (typeof value === "string") {
    return create(DocumentSchema, { text: value });
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    throw new TypeError(`a document is a string or an object, not ${JSON.stringify(value)}`);
  }
  if (isMessage(value, DocumentSchema)) {
    return value;
  }
  const names = Object.keys(value);
  if (names.every((name) => OWN.has(name) || name === "$typeName")) {
    return create(DocumentSchema, value as MessageInitShape<typeof DocumentSchema>);
  }
  // By JSON, so that dates and whatever else says how it is written may be in it.
  const fields = JSON.parse(JSON.stringify(value)) as JsonObject;
  if (!names.some((name) => OWN.has(name))) {
    return create(DocumentSchema, { fields });
  }
  if ("text" in fields && typeof fields["text"] !== "string") {
    throw new TypeError(`text of a document must be a string, not ${JSON.stringify(fields["text"])}`);
  }
  return create(DocumentSchema, {
    fields,
    text: stringOf(fields["text"] ?? fields["content"]),
    id: stringOf(fields["id"]),
  });
}

function stringOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
