"""One line a call: who asked which model, how it ended, how long it took. Never query or document text."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Literal

from msgspec import UNSET, Struct, UnsetType

from rerankd.contract.errors import Code
from rerankd.telemetry.logging import is_logged, timestamp, write_call

if TYPE_CHECKING:
    from rerankd.telemetry.call import CallRecord

SERVER_FAULTS: Final = frozenset({Code.INTERNAL, Code.UNAVAILABLE, Code.UNKNOWN, Code.DATA_LOSS})
"""Ours or a provider's: warnings."""
_NAMES: Final = {code: code.name for code in Code}
_MAX_CHARS: Final = 200


class CallLine(Struct, omit_defaults=True, gc=False):
    """What is said of every call; what is usual is left out."""

    event: Literal["call"]
    level: Literal["info", "warning"]
    timestamp: str
    model: str
    code: str
    request_id: str
    transport: str
    documents: int
    latency_ms: float
    provider_ms: float
    provider: str = ""
    reason: str | None = None
    cached_documents: int | UnsetType = UNSET
    cost: float = 0.0
    trace_id: str = ""
    deployment: str = ""
    chunks: int = 1
    retries: int = 0
    hedges: int = 0
    fallbacks: int = 0
    user: str = ""


def log_call(record: CallRecord) -> None:
    """Log a call that has ended, unless it went well and sampling leaves it out."""
    reason = record.reason
    if reason is not None or is_logged(record.latency_ms):
        write_call(_line(record))


def _line(record: CallRecord) -> CallLine:
    call, usage, reason = record.call, record.usage, record.reason
    return CallLine(
        "call",
        "info" if reason is None or record.code not in SERVER_FAULTS else "warning",
        timestamp(time.time() - (time.perf_counter() - record.ended_s)),
        record.model if reason is None else record.requested_model[:_MAX_CHARS],
        _NAMES[record.code],
        call.request_id,
        call.transport,
        record.documents,
        record.latency_ms,
        round(record.provider_s * 1000, 3),
        record.provider,
        None if reason is None else reason.value,
        usage.cached_documents if usage is not None else UNSET,
        (usage.cost or 0.0) if usage is not None else 0.0,
        record.trace_id,
        record.deployment,
        max(record.chunks, 1),
        record.retries,
        record.hedges,
        record.fallbacks,
        record.user[:_MAX_CHARS],
    )
