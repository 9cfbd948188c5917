import { type Message, fromBinary } from "@bufbuild/protobuf";
import type { GenMessage } from "@bufbuild/protobuf/codegenv2";
import { durationMs } from "@bufbuild/protobuf/wkt";

import {
  BadRequestSchema,
  ErrorInfoSchema,
  QuotaFailureSchema,
  RetryInfoSchema,
} from "./gen/google/rpc/error_details_pb.js";
import type { Status } from "./gen/google/rpc/status_pb.js";

/** Names of gRPC's status codes, by their numbers. */
export const CODES = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
] as const;

/** Name of a gRPC status code. */
export type Code = (typeof CODES)[number];

/** Returns the name of a code; UNKNOWN for a number that gRPC does not have. */
export function codeName(number: number): Code {
  return CODES[number] ?? "UNKNOWN";
}

/** One field of the request that breaks a rule. */
export interface FieldViolation {
  /** Path by proto names, such as `documents[3].text`. */
  field: string;
  /** The rule. */
  description: string;
}

/** One limit that a call exceeds. */
export interface QuotaViolation {
  /** Name of the limit. */
  subject: string;
  /** How it is exceeded. */
  description: string;
}

/** The facts of a {@link RerankError}. */
export interface Failure {
  code: Code;
  reason?: string;
  message?: string;
  metadata?: Record<string, string>;
  fields?: FieldViolation[];
  quota?: QuotaViolation[];
  retryAfterMs?: number | undefined;
  requestId?: string | undefined;
}

/**
 * A call, or one item of a batch, failed.
 *
 * The facts come from the `google.rpc` error details that the server sends with every failure; without them (no server,
 * a proxy in between) `reason` is the name of the code.
 */
export class RerankError extends Error {
  override readonly name = "RerankError";
  /** gRPC status code. */
  readonly code: Code;
  /** Name of an `ErrorReason` without its prefix, such as `MODEL_NOT_FOUND`. */
  readonly reason: string;
  /** Everything that varies in `message`. */
  readonly metadata: Readonly<Record<string, string>>;
  /** The offending fields of an invalid request. */
  readonly fields: readonly FieldViolation[];
  /** The limits that a refused call exceeds. */
  readonly quota: readonly QuotaViolation[];
  /** Milliseconds after which a retry can succeed; undefined when the server gave no hint. */
  readonly retryAfterMs: number | undefined;
  /** Finds the call in the server's log; undefined when no server answered. */
  readonly requestId: string | undefined;

  constructor(failure: Failure, options?: ErrorOptions) {
    super(failure.message || failure.code, options);
    this.code = failure.code;
    this.reason = failure.reason || failure.code;
    this.metadata = failure.metadata ?? {};
    this.fields = failure.fields ?? [];
    this.quota = failure.quota ?? [];
    this.retryAfterMs = failure.retryAfterMs;
    this.requestId = failure.requestId || this.metadata["request_id"];
  }
}

/** Decodes a status other than OK, with the details in it. */
export function errorOfStatus(status: Status, requestId?: string, options?: ErrorOptions): RerankError {
  const info = detailOf(status, ErrorInfoSchema);
  const retry = detailOf(status, RetryInfoSchema)?.retryDelay;
  return new RerankError(
    {
      code: codeName(status.code),
      reason: info?.reason ?? "",
      message: status.message,
      metadata: info?.metadata ?? {},
      fields: (detailOf(status, BadRequestSchema)?.fieldViolations ?? []).map(({ field, description }) => ({
        field,
        description,
      })),
      quota: (detailOf(status, QuotaFailureSchema)?.violations ?? []).map(({ subject, description }) => ({
        subject,
        description,
      })),
      retryAfterMs: retry && durationMs(retry),
      requestId,
    },
    options,
  );
}

function detailOf<M extends Message>(status: Status, schema: GenMessage<M>): M | undefined {
  const detail = status.details.find(({ typeUrl }) => typeUrl.endsWith(`/${schema.typeName}`));
  return detail && (fromBinary(schema, detail.value) as M);
}
