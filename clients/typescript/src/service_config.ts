// Load balancing, health checks and retries, generated from protos/rerank/v1/service_config.json.

/** As gRPC reads it, in JSON. */
export const SERVICE_CONFIG = {
  "loadBalancingConfig": [{"round_robin": {}}],
  "healthCheckConfig": {"serviceName": "rerank.v1.RerankService"},
  "methodConfig": [
    {
      "name": [
        {"service": "rerank.v1.RerankService", "method": "Rerank"},
        {"service": "rerank.v1.RerankService", "method": "ListModels"},
        {"service": "rerank.v1.RerankService", "method": "GetModel"},
        {"service": "rerank.v1.RerankService", "method": "WarmDocuments"}
      ],
      "retryPolicy": {
        "maxAttempts": 4,
        "initialBackoff": "0.1s",
        "maxBackoff": "2s",
        "backoffMultiplier": 4,
        "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"]
      }
    }
  ],
  "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1}
};
