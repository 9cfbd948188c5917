/** The JSON of the HTTP gateway: proto names, and enums as words (`no-store`). */

import {
  type DescEnum,
  type DescMessage,
  type JsonValue,
  type MessageShape,
  createRegistry,
  fromJson,
  toJson,
} from "@bufbuild/protobuf";

import { enumName, enumWord } from "./enums.js";
import { file_google_rpc_error_details } from "./gen/google/rpc/error_details_pb.js";

type Change = (schema: DescEnum, value: JsonValue) => JsonValue;

const REGISTRY = createRegistry(file_google_rpc_error_details);

/** Writes a message. */
export function encodeJson<M extends DescMessage>(schema: M, message: MessageShape<M>): JsonValue {
  const json = toJson(schema, message, { useProtoFieldName: true, enumAsInteger: true });
  return changeEnums(schema, json, (desc, value) => enumWord(desc, Number(value)));
}

/** Reads a message; members that the contract does not have are left out. */
export function decodeJson<M extends DescMessage>(schema: M, json: JsonValue): MessageShape<M> {
  const named = changeEnums(schema, json, (desc, value) => enumName(desc, String(value)));
  return fromJson(schema, named, { ignoreUnknownFields: true, registry: REGISTRY });
}

function changeEnums(schema: DescMessage, json: JsonValue, change: Change): JsonValue {
  if (json === null || typeof json !== "object" || Array.isArray(json) || schema.typeName.startsWith("google.")) {
    return json;
  }
  const changed = { ...json };
  for (const { name, enum: enumDesc, message } of schema.fields) {
    const value = changed[name];
    const one = (item: JsonValue) => (enumDesc ? change(enumDesc, item) : message ? changeEnums(message, item, change) : item);
    if (value !== undefined && value !== null && (enumDesc || message)) {
      changed[name] = Array.isArray(value) ? value.map(one) : one(value);
    }
  }
  return changed;
}
