"""One line a call: who asked which model, how it ended, how long it took. Never query or document text."""

from __future__ import annotations

from typing import Any

from rerankd.contract import RerankRequest, RerankResponse
from rerankd.domain import CallContext
from rerankd.errors import Code, Reason
from rerankd.telemetry.call import CallRecord
from rerankd.telemetry.logging import call_logger, is_logged

_SERVER_FAULTS = frozenset({Code.INTERNAL, Code.UNAVAILABLE, Code.UNKNOWN, Code.DATA_LOSS})


def log_answer(call: CallContext, request: RerankRequest, response: RerankResponse, record: CallRecord) -> None:
    """Log a call that was answered, unless sampling leaves it out."""
    if not is_logged(record.latency_ms):
        return
    extra, usage = response.extra_fields, response.usage
    facts = _facts(call, request, record)
    if usage and usage.cost:
        facts["cost"] = usage.cost
    call_logger().info(
        "call",
        model=response.model,
        provider=extra.provider if extra else "",
        code=Code.OK.name,
        cached_documents=usage.cached_documents if usage else 0,
        **facts,
    )


def log_failure(call: CallContext, request: RerankRequest, reason: Reason, code: Code, record: CallRecord) -> None:
    """Log a call that failed; faults of ours or of a provider as warnings."""
    log = call_logger().warning if code in _SERVER_FAULTS else call_logger().info
    facts = _facts(call, request, record)
    if record.provider:
        facts["provider"] = record.provider
    log("call", model=request.model[:200], code=code.name, reason=reason.value, **facts)


def _facts(call: CallContext, request: RerankRequest, record: CallRecord) -> dict[str, Any]:
    """Say what is said of every call; what is usual is left out."""
    found: dict[str, Any] = {
        "request_id": call.request_id,
        "transport": call.transport,
        "documents": len(request.documents),
        "latency_ms": record.latency_ms,
        "provider_ms": round(record.provider_s * 1000, 3),
    }
    if trace_id := record.trace_id:
        found["trace_id"] = trace_id
    if record.deployment:
        found["deployment"] = record.deployment
    if record.chunks > 1:
        found["chunks"] = record.chunks
    if record.retries or record.hedges or record.fallbacks:
        tried = {"retries": record.retries, "hedges": record.hedges, "fallbacks": record.fallbacks}
        found |= {name: count for name, count in tried.items() if count}
    if request.user:
        found["user"] = request.user[:200]
    return found
