/** Failures of HTTP calls, as the errors that gRPC calls have. */

import { CODES, type Code, type FieldViolation, RerankError } from "./errors.js";

const CODE_OF_STATUS: Readonly<Record<number, Code>> = {
  401: "UNAUTHENTICATED",
  403: "PERMISSION_DENIED",
  404: "NOT_FOUND",
  408: "DEADLINE_EXCEEDED",
  409: "ALREADY_EXISTS",
  412: "FAILED_PRECONDITION",
  429: "RESOURCE_EXHAUSTED",
  499: "CANCELLED",
  501: "UNIMPLEMENTED",
  502: "UNAVAILABLE",
  503: "UNAVAILABLE",
  504: "DEADLINE_EXCEEDED",
};

interface ErrorBody {
  message?: string;
  reason?: string;
  error?: { type?: string };
  fields?: FieldViolation[];
}

/** Returns the error that a response describes; of one that is not the gateway's, by its status alone. */
export async function errorOfResponse(response: Response): Promise<RerankError> {
  const text = await response.text();
  const body = bodyOf(text);
  const named = CODES.find((code) => code === body.error?.type?.toUpperCase());
  const code = named ?? CODE_OF_STATUS[response.status] ?? (response.status < 500 ? "INVALID_ARGUMENT" : "INTERNAL");
  const delay = response.headers.get("retry-after-ms");
  return new RerankError({
    code,
    reason: body.reason ?? "",
    message: body.message ?? `HTTP ${response.status}: ${text.slice(0, 200)}`,
    fields: body.fields ?? [],
    retryAfterMs: delay === null ? undefined : Number(delay),
    requestId: response.headers.get("x-request-id") ?? undefined,
  });
}

/** Returns the error of a call without an answer: it was cancelled, too late, or not possible. */
export function errorOfFetch(error: unknown, signal?: AbortSignal): RerankError {
  if (error instanceof RerankError) {
    return error;
  }
  const cause = { cause: error };
  if (signal?.aborted) {
    return new RerankError({ code: "CANCELLED", message: "the call was cancelled" }, { cause: signal.reason });
  }
  if (error instanceof Error && error.name === "TimeoutError") {
    return new RerankError({ code: "DEADLINE_EXCEEDED", message: "the deadline passed before the answer came" }, cause);
  }
  return new RerankError({ code: "UNAVAILABLE", message: String(error) }, cause);
}

function bodyOf(text: string): ErrorBody {
  try {
    return JSON.parse(text) as ErrorBody;
  } catch {
    return {};
  }
}
