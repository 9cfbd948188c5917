"""One line a call: who asked which model, how it ended, how long it took. Never query or document text."""

from __future__ import annotations

from typing import Any

import structlog

from rerankd.contract import RerankRequest, RerankResponse
from rerankd.domain import CallContext
from rerankd.errors import Code, Reason
from rerankd.telemetry.call import CallRecord
from rerankd.telemetry.logging import is_logged

_log = structlog.get_logger("rerankd.call")

_SERVER_FAULTS = frozenset({Code.INTERNAL, Code.UNAVAILABLE, Code.UNKNOWN, Code.DATA_LOSS})


def log_answer(call: CallContext, request: RerankRequest, response: RerankResponse, record: CallRecord) -> None:
    """Log a call that was answered, unless sampling leaves it out."""
    if not is_logged(record.latency_ms):
        return
    extra, usage = response.extra_fields, response.usage
    _log.info(
        "call",
        model=response.model,
        provider=extra.provider if extra else "",
        code=Code.OK.name,
        cached_documents=usage.cached_documents if usage else 0,
        **({"cost": usage.cost} if usage and usage.cost else {}),
        **_facts(call, request, record),
    )


def log_failure(call: CallContext, request: RerankRequest, reason: Reason, code: Code, record: CallRecord) -> None:
    """Log a call that failed; faults of ours or of a provider as warnings."""
    log = _log.warning if code in _SERVER_FAULTS else _log.info
    log(
        "call",
        model=request.model[:200],
        code=code.name,
        reason=reason.value,
        **({"provider": record.provider} if record.provider else {}),
        **_facts(call, request, record),
    )


def _facts(call: CallContext, request: RerankRequest, record: CallRecord) -> dict[str, Any]:
    """Say what is said of every call; what is usual is left out."""
    found: dict[str, Any] = {
        "request_id": call.request_id,
        "transport": call.transport,
        "documents": len(request.documents),
        "latency_ms": record.latency_ms,
        "provider_ms": round(record.provider_s * 1000, 3),
    }
    unusual: dict[str, Any] = {
        "trace_id": record.trace_id,
        "deployment": record.deployment,
        "chunks": record.chunks if record.chunks > 1 else 0,
        "retries": record.retries,
        "hedges": record.hedges,
        "fallbacks": record.fallbacks,
        "user": request.user[:200],
    }
    return found | {name: value for name, value in unusual.items() if value}
