/** Client of the rerank service for Node.js, over gRPC. */

export { Batch } from "./batch.js";
export type { BatchItem, BatchOptions, BatchResult, BatchSummary } from "./batch_types.js";
export { RerankClient, type ServingStatus } from "./client.js";
export { Connection } from "./connection.js";
export type { DocumentLike } from "./documents.js";
export { RerankError, type Code, type FieldViolation, type QuotaViolation } from "./errors.js";
export { enumWord } from "./enums.js";
export * from "./gen/rerank/v1/rerank_service_pb.js";
export { ErrorReason } from "./gen/rerank/v1/error_reason_pb.js";
export { VERSION, type CallOptions, type ClientOptions, type TlsOptions } from "./options.js";
export type { RerankInput, WarmInput } from "./requests.js";
export { ADDRESS_VARIABLE, API_KEY_VARIABLE, DEFAULT_ADDRESS } from "./target.js";
