"""One line a call: who asked which model, how it ended, how long it took. Never query or document text."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from rerankd.errors import Code
from rerankd.telemetry.logging import call_logger, is_logged, timestamp

if TYPE_CHECKING:
    from rerankd.telemetry.call import CallRecord

SERVER_FAULTS: Final = frozenset({Code.INTERNAL, Code.UNAVAILABLE, Code.UNKNOWN, Code.DATA_LOSS})
"""Ours or a provider's: warnings."""
_NAMES: Final = {code: code.name for code in Code}
_MAX_CHARS: Final = 200


def log_call(record: CallRecord) -> None:
    """Log a call that has ended, unless it went well and sampling leaves it out."""
    if record.reason is None:
        if is_logged(record.latency_ms):
            call_logger().info("call", **_facts(record))
        return
    log = call_logger().warning if record.code in SERVER_FAULTS else call_logger().info
    log("call", **_facts(record))


def _facts(record: CallRecord) -> dict[str, Any]:
    """Say what is said of every call; what is usual is left out."""
    call, usage = record.call, record.usage
    found: dict[str, Any] = {
        "timestamp": timestamp(time.time() - (time.perf_counter() - record.ended_s)),
        "model": record.model if record.reason is None else record.requested_model[:_MAX_CHARS],
        "code": _NAMES[record.code],
        "request_id": call.request_id,
        "transport": call.transport,
        "documents": record.documents,
        "latency_ms": record.latency_ms,
        "provider_ms": round(record.provider_s * 1000, 3),
    }
    if record.provider:
        found["provider"] = record.provider
    if record.reason is not None:
        found["reason"] = record.reason.value
    if usage is not None:
        found["cached_documents"] = usage.cached_documents
        if usage.cost:
            found["cost"] = usage.cost
    if trace_id := record.trace_id:
        found["trace_id"] = trace_id
    if record.deployment:
        found["deployment"] = record.deployment
    if record.chunks > 1:
        found["chunks"] = record.chunks
    if record.retries or record.hedges or record.fallbacks:
        tried = {"retries": record.retries, "hedges": record.hedges, "fallbacks": record.fallbacks}
        found |= {name: count for name, count in tried.items() if count}
    if record.user:
        found["user"] = record.user[:_MAX_CHARS]
    return found
