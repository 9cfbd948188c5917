"""Names and meanings of all spans, attributes, events and metrics. `docs/telemetry.md` is generated from this file."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

MODEL_SPAN: Final = "rerank"
"""`rerank {model}`: one call of a model by its public name."""
STAGE_SPAN: Final = "stage"
"""`stage {name}`: one stage of a model that scores in several, or one member of a reranker."""

SERVICE_NAME: Final = "rerankd"
TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"


class Attribute(NamedTuple):
    """An attribute, and the span it is documented for."""

    name: str
    on: Literal["server", "rerank", "provider", "stage"]
    help: str


class Event(NamedTuple):
    """An event of spans."""

    name: str
    help: str


class Metric(NamedTuple):
    """A metric, its label names and its bucket bounds."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


RPC_SYSTEM: Final = "rpc.system.name"
RPC_METHOD: Final = "rpc.method"
RPC_STATUS: Final = "rpc.response.status_code"
HTTP_METHOD: Final = "http.request.method"
HTTP_ROUTE: Final = "http.route"
HTTP_STATUS: Final = "http.response.status_code"
URL_PATH: Final = "url.path"
URL_SCHEME: Final = "url.scheme"
ERROR_TYPE: Final = "error.type"
REQUEST_ID: Final = "rerankd.request_id"

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_MODEL: Final = "gen_ai.response.model"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CHUNK_INDEX: Final = "rerank.chunk.index"
CHUNK_COUNT: Final = "rerank.chunk.count"
DOCUMENTS: Final = "rerank.documents"
TOP_N: Final = "rerank.top_n"
ATTEMPT: Final = "rerank.attempt"
DEPLOYMENT: Final = "rerank.deployment"
CACHED_DOCUMENTS: Final = "rerank.cache.hits"
LATENCY_MS: Final = "rerank.latency_ms"
SEARCH_UNITS: Final = "rerank.usage.search_units"
COST: Final = "rerank.usage.cost"
OUTCOME: Final = "rerank.outcome"
STAGE: Final = "rerank.stage"
SHORTENED_BY: Final = "rerank.stage.shortened_by"

ATTRIBUTES: Final = (
    Attribute(RPC_SYSTEM, "server", "`grpc`"),
    Attribute(RPC_METHOD, "server", "Full name of the method, `rerank.v1.RerankService/Rerank`"),
    Attribute(RPC_STATUS, "server", "Name of the gRPC status code, also of an aborted call"),
    Attribute(HTTP_METHOD, "server", "HTTP method"),
    Attribute(HTTP_ROUTE, "server", "Path of the route; absent when no route matched"),
    Attribute(HTTP_STATUS, "server", "HTTP status"),
    Attribute(URL_PATH, "server", "Path of the request"),
    Attribute(URL_SCHEME, "server", "`http` or `https`"),
    Attribute(REQUEST_ID, "server", "As in `x-request-id` and the log"),
    Attribute(ERROR_TYPE, "server", "Status code, where the call failed; an `ErrorReason` or outcome on other spans"),
    Attribute(OPERATION, "rerank", "`rerank`; on provider spans too, where it is `chat` for chat models"),
    Attribute(
        REQUEST_MODEL,
        "rerank",
        "Model that was asked for, or the default one; on provider spans by the provider's name",
    ),
    Attribute(RESPONSE_MODEL, "rerank", "Model that answered; on provider spans too"),
    Attribute(PROVIDER, "rerank", "Provider that answered; on provider spans the one that was called"),
    Attribute(DOCUMENTS, "rerank", "Documents of the call; on provider spans of the chunk"),
    Attribute(TOP_N, "rerank", "Results asked for"),
    Attribute(CACHED_DOCUMENTS, "rerank", "Documents whose score was known"),
    Attribute(INPUT_TOKENS, "rerank", "Tokens read; on provider spans too"),
    Attribute(OUTPUT_TOKENS, "rerank", "Tokens written; on provider spans too"),
    Attribute(SEARCH_UNITS, "rerank", "Billing units; on provider spans too"),
    Attribute(COST, "rerank", "US dollars; on provider spans too"),
    Attribute(CHUNK_COUNT, "rerank", "Chunks the documents were cut into; on provider spans too"),
    Attribute(LATENCY_MS, "rerank", "Milliseconds it took; on provider spans too"),
    Attribute(OUTCOME, "rerank", "`ok` or the `ErrorReason`; on provider spans the failure's kind, or `cancelled`"),
    Attribute(CHUNK_INDEX, "provider", "Zero-based number of the chunk"),
    Attribute(ATTEMPT, "provider", "1 for the first call of the chunk, counting up with retries and hedges"),
    Attribute(DEPLOYMENT, "provider", "Deployment that was called"),
    Attribute(STAGE, "stage", "Name of the stage, or of the member of a reranker"),
    Attribute(SHORTENED_BY, "stage", "Why it scored fewer documents than configured"),
)

RETRY: Final = Event("retry", "The chunk is tried again, after a pause of `delay_ms`, because of `reason`")
HEDGE: Final = Event("hedge", "A second copy of a slow call goes to `deployment`")
FALLBACK: Final = Event("fallback", "The whole request goes to the model `to` because `from` failed with `reason`")
COOLDOWN: Final = Event("cooldown", "`deployment` gets no calls for `seconds`")
EVENTS: Final = (RETRY, HEDGE, FALLBACK, COOLDOWN)

_SECONDS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip
_DOCUMENTS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
_TOKENS: Final = (100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000)

CALLS: Final = Metric(
    "rerankd_calls",
    "counter",
    "Rerank calls that ended, and requests refused before they were calls, by gRPC status code.",
    ("transport", "model", "provider", "code"),
)
CALL_SECONDS: Final = Metric(
    "rerankd_call_duration_seconds", "histogram", "Time of a rerank call.", ("transport", "model"), _SECONDS
)
OVERHEAD_SECONDS: Final = Metric(
    "rerankd_overhead_seconds",
    "histogram",
    "Part of a call's time in which no provider call was under way.",
    ("transport",),
    _SECONDS,
)
PROVIDER_SECONDS: Final = Metric(
    "rerankd_provider_call_duration_seconds",
    "histogram",
    "Time of one provider call, with its wait for a free slot; retries and hedges count separately. `outcome`: `ok`,"
    " `cancelled`, `refused` because the queue of the deployment was full, or the kind of failure: `rejected`,"
    " `unsupported`, `model_not_found`, `credentials`, `rate_limited`, `unavailable`, `bad_response`, `timeout`.",
    ("provider", "model", "outcome"),
    _SECONDS,
)
CALL_DOCUMENTS: Final = Metric("rerankd_call_documents", "histogram", "Documents of a call.", ("model",), _DOCUMENTS)
CALL_TOKENS: Final = Metric(
    "rerankd_call_tokens", "histogram", "Tokens of a call; calls without any are left out.", ("model",), _TOKENS
)
SEARCH_UNITS_TOTAL: Final = Metric(
    "rerankd_search_units",
    "counter",
    "Billing units of providers, by deployment, and so by key.",
    ("provider", "model", "deployment"),
)
COST_TOTAL: Final = Metric(
    "rerankd_cost_usd",
    "counter",
    "Cost of provider calls in US dollars, where it is known, by deployment, and so by key.",
    ("provider", "model", "deployment"),
)
SAVED_TOTAL: Final = Metric(
    "rerankd_saved_cost_usd", "counter", "Cost in US dollars that cached scores saved.", ("model",)
)
JUDGED: Final = Metric(
    "rerankd_judged_documents",
    "counter",
    "Documents that a chat model was asked to judge: `ok`, `no_verdict` or `rejected`.",
    ("model", "outcome"),
)
ORDERED: Final = Metric(
    "rerankd_ordered_windows",
    "counter",
    "Answers of a chat model that was asked to order a window of documents: `ok`; `wrong_format`, `repetition` or"
    " `missing` where it was repaired; `unusable` where it named less than half of them.",
    ("model", "outcome"),
)
RETRIES: Final = Metric("rerankd_retries", "counter", "Further attempts at a chunk.", ("model",))
HEDGES: Final = Metric("rerankd_hedges", "counter", "Second copies of slow calls.", ("model",))
FALLBACKS: Final = Metric("rerankd_fallbacks", "counter", "Requests that went to another model.", ("model", "reason"))
COOLDOWNS: Final = Metric("rerankd_cooldowns", "counter", "Cooldowns that started.", ("deployment",))
COOLING: Final = Metric(
    "rerankd_deployment_cooling", "gauge", "1 while the deployment is in cooldown.", ("deployment",)
)
QUEUED: Final = Metric(
    "rerankd_deployment_queue_depth", "gauge", "Calls that wait for a free slot of the deployment.", ("deployment",)
)
BUSY: Final = Metric("rerankd_deployment_in_flight", "gauge", "Calls of the deployment in flight.", ("deployment",))
IN_FLIGHT: Final = Metric("rerankd_calls_in_flight", "gauge", "Rerank calls in flight.")
CACHE_DOCUMENTS: Final = Metric(
    "rerankd_cache_documents",
    "counter",
    "Documents of cached models, by where the score came from: `memory`, `redis`, `coalesced` with a call that was"
    " asking for it, or `miss`.",
    ("result",),
)
CACHE_BYTES: Final = Metric("rerankd_cache_bytes", "gauge", "Memory of the scores cached in the process.")
CACHE_ENTRIES: Final = Metric("rerankd_cache_entries", "gauge", "Scores cached in the process.")
CACHE_ERRORS: Final = Metric("rerankd_cache_errors", "counter", "Failures and timeouts of the cache's Redis.")
BATCHES: Final = Metric("rerankd_batches_in_progress", "gauge", "Batch streams that are open.")
BATCH_ITEMS: Final = Metric(
    "rerankd_batch_items", "counter", "Items of batch streams that ended, `ok` or `failed`.", ("outcome",)
)
LOOP_LAG: Final = Metric(
    "rerankd_event_loop_lag_seconds", "histogram", "How late the event loop ran a timer.", (), _SECONDS
)
SPANS: Final = Metric("rerankd_spans", "counter", "Spans that were `exported`, or `dropped`.", ("result",))
SINK_ERRORS: Final = Metric(
    "rerankd_sink_errors", "counter", "Batches of ended calls that a telemetry sink failed to take.", ("sink",)
)
RUNS: Final = Metric(
    "rerankd_runs",
    "counter",
    "Runs of the run log: `stored`; `lost`, because the store was away and the queue full; `late`, answered before they"
    " were stored although `runs.durability` is `sync`.",
    ("result",),
)
STORE_ERRORS: Final = Metric(
    "rerankd_store_errors", "counter", "Writes to the store that failed, by what was written: `spend`.", ("what",)
)
BUILD: Final = Metric("rerankd_build_info", "gauge", "1; the label has the version.", ("version",))

HTTP_CONNECTIONS: Final = Metric("rerankd_http_connections", "gauge", "Open connections of the HTTP listener.")
HTTP_REFUSED: Final = Metric(
    "rerankd_http_refused_connections",
    "counter",
    "Connections refused at a limit, by its setting under `server.http`.",
    ("limit",),
)
METRICS: Final = tuple(each for each in tuple(globals().values()) if isinstance(each, Metric))
"""Every metric above, in this order."""
