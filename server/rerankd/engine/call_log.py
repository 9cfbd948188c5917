"""One line a call: who asked which model, how it ended, how long it took. Never query or document text."""

from __future__ import annotations

import structlog

from rerankd.contract import RerankRequest, RerankResponse
from rerankd.domain import CallContext
from rerankd.engine.response import elapsed_ms
from rerankd.errors import Code, Reason

_log = structlog.get_logger("rerankd.call")

_SERVER_FAULTS = frozenset({Code.INTERNAL, Code.UNAVAILABLE, Code.UNKNOWN, Code.DATA_LOSS})


def log_answer(call: CallContext, request: RerankRequest, response: RerankResponse, started_s: float) -> None:
    """Log a call that was answered."""
    extra = response.extra_fields
    _log.info(
        "call",
        request_id=call.request_id,
        transport=call.transport,
        model=response.model,
        provider=extra.provider if extra else "",
        documents=len(request.documents),
        code=Code.OK.name,
        **_user(request),
        latency_ms=elapsed_ms(started_s),
    )


def log_failure(call: CallContext, request: RerankRequest, reason: Reason, code: Code, started_s: float) -> None:
    """Log a call that failed; faults of ours or of a provider as warnings."""
    log = _log.warning if code in _SERVER_FAULTS else _log.info
    log(
        "call",
        request_id=call.request_id,
        transport=call.transport,
        model=request.model[:200],
        documents=len(request.documents),
        code=code.name,
        reason=reason.value,
        **_user(request),
        latency_ms=elapsed_ms(started_s),
    )


def _user(request: RerankRequest) -> dict[str, str]:
    return {"user": request.user[:200]} if request.user else {}
