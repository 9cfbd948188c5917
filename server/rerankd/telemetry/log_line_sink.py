"""One log line per ended call: caller's request id, model, outcome, latency. Never query or document text."""

from __future__ import annotations

import random
import time
from typing import Final, Literal

from msgspec import UNSET, Struct, UnsetType

from rerankd.contract.errors import Code
from rerankd.telemetry.calls.call_record import CallRecord
from rerankd.telemetry.calls.recorder import EndedBatch
from rerankd.telemetry.logging import timestamp, write_calls

_CODES: Final = {code: code.name for code in Code}


class CallLine(Struct, omit_defaults=True, gc=False):
    """The fields of a call's log line; those with the usual value are left out."""

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
    path: str = ""


class LogLineSink:
    """Logs failed and slow calls, and a sample of the others. Satisfies `Sink`.

    Args:
        sample: Share, 0 to 1, of the other calls. May be set later.
        slow_call_ms: Calls that take at least so long are slow; 0: none is.
    """

    name = "log"
    needs_texts = None
    is_prompt = False

    def __init__(self, sample: float = 1.0, slow_call_ms: float = 0.0) -> None:
        self.sample = sample
        self._slow_call_ms = slow_call_ms

    def consume(self, batch: EndedBatch) -> None:
        """Log a batch, in as few writes as its lines fit in."""
        # Wall-clock time at which `time.perf_counter` was zero.
        zero_s = time.time() - time.perf_counter()
        if lines := [_line(record, zero_s) for record in batch.calls if self._is_logged(record)]:
            write_calls(lines)

    def _is_logged(self, record: CallRecord) -> bool:
        return (
            self.sample >= 1
            or record.reason is not None
            or 0 < self._slow_call_ms <= record.latency_ms
            or random.random() < self.sample  # noqa: S311 - no secret depends on it
        )


def _line(record: CallRecord, zero_s: float) -> CallLine:
    call, usage, reason, trace = record.call, record.usage, record.reason, record.trace
    return CallLine(
        "call",
        "warning" if record.is_server_fault else "info",
        timestamp(zero_s + record.ended_s),
        record.model if reason is None else record.requested_model,
        _CODES[record.code],
        call.request_id,
        call.transport,
        record.documents,
        record.latency_ms,
        round(record.provider_s * 1000, 3),
        record.provider,
        None if reason is None else reason.value,
        usage.cached_documents if usage is not None else UNSET,
        (usage.cost or 0.0) if usage is not None else 0.0,
        "" if trace is None else f"{trace.trace_id:032x}",
        record.deployment,
        max(record.chunks, 1),
        record.retries,
        record.hedges,
        record.fallbacks,
        record.user,
        record.path,
    )
