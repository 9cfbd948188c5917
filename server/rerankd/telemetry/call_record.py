"""The facts of one rerank call, collected while it runs. Sinks make metrics, log lines and spans of them."""

from __future__ import annotations

import time
from typing import Final, NamedTuple, Protocol

from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import Code, Reason
from rerankd.contract.messages import RerankRequest, RerankResponse, Usage
from rerankd.telemetry.trace_context import TraceContext, current_span
from rerankd.telemetry.watches import AttemptWatch, ChunkWatch

MAX_NAME_CHARS: Final = 200
"""Characters of a caller-chosen name that telemetry shows at most."""
SERVER_FAULTS: Final = frozenset({Code.INTERNAL, Code.UNAVAILABLE, Code.UNKNOWN, Code.DATA_LOSS})
"""Codes that say the service or a provider failed, not the caller."""


class Retry(NamedTuple):
    """A chunk is tried again."""

    at_s: float
    """By the clock of `time.perf_counter`, as in all events."""
    model: str
    chunk_index: int
    delay_s: float
    cause: str
    """Outcome of the attempt before; see `watches.outcome_of`."""


class Hedge(NamedTuple):
    """A second copy of a slow call is sent."""

    at_s: float
    model: str
    chunk_index: int
    deployment: str


class Fallback(NamedTuple):
    """The whole request goes to another model."""

    at_s: float
    from_model: str
    to_model: str
    reason: Reason


CallEvent = Retry | Hedge | Fallback


class CallObserver(Protocol):
    """Takes what has ended."""

    keeps_texts: bool
    """Whether ended calls are to hold their request and response."""

    def call_ended(self, record: CallRecord) -> None:
        """Take a call that has ended."""
        ...

    def attempt_ended_late(self, attempt: AttemptWatch) -> None:
        """Take a provider call that went on after its rerank call had ended."""
        ...


class CallRecord:
    """One rerank call. For one event loop. Made by `Recorder.begin`; ended by `answered` or `failed`, once.

    Args:
        request: As it was decoded; nothing of it needs to be valid.
        call: Who calls, over what.
        ended: Takes the record when it ends, and late attempts.
    """

    __slots__ = (
        "_busy_since_s",
        "_ended",
        "_running",
        "attempts",
        "call",
        "chunks",
        "code",
        "deployment",
        "documents",
        "ended_s",
        "events",
        "fallbacks",
        "hedges",
        "model",
        "provider",
        "provider_s",
        "reason",
        "request",
        "requested_model",
        "response",
        "retries",
        "started_s",
        "top_n",
        "trace",
        "usage",
        "user",
    )

    def __init__(self, request: RerankRequest, call: CallContext, ended: CallObserver) -> None:
        self._ended = ended
        current = current_span.get()
        self.trace: TraceContext | None = None if current is None else current.trace
        """The trace the call is part of; `None` where none is kept or passed on."""
        self.call = call
        self.request: RerankRequest | None = request
        """Released when the call ends, unless a sink needs texts."""
        self.response: RerankResponse | None = None
        """Set when the call has been answered and a sink needs texts."""
        self.requested_model = request.model[:MAX_NAME_CHARS]
        """As the caller named it; empty for the default model."""
        self.user = request.user[:MAX_NAME_CHARS]
        self.top_n = request.top_n
        self.documents = len(request.documents)
        self.model = ""
        """Public name of the model that is asked first, or that answered; empty until one is resolved."""
        self.provider = self.deployment = ""
        """Of the last provider call that was answered."""
        self.usage: Usage | None = None
        """`None` where the call failed."""
        self.reason: Reason | None = None
        """Why the call failed; `None` where it did not."""
        self.code = Code.OK
        self.attempts: list[AttemptWatch] = []
        """Provider calls that have ended, in that order."""
        self.events: list[CallEvent] = []
        self.retries = self.hedges = self.fallbacks = self.chunks = 0
        self.provider_s = 0.0
        """Seconds in which at least one provider call was under way."""
        self._running = 0
        self._busy_since_s = 0.0
        self.ended_s = 0.0
        """By the clock of `time.perf_counter`, as `started_s`; 0 while the call runs."""
        self.started_s = time.perf_counter()

    @property
    def is_ended(self) -> bool:
        """Whether the outcome is known."""
        return self.ended_s > 0

    @property
    def is_server_fault(self) -> bool:
        """Whether the service or a provider failed, not the caller."""
        return self.code in SERVER_FAULTS

    @property
    def elapsed_s(self) -> float:
        """Seconds the call took. Known once it has ended."""
        return self.ended_s - self.started_s

    @property
    def latency_ms(self) -> float:
        """Milliseconds the call took, to three decimals. Known once it has ended."""
        return round(self.elapsed_s * 1000, 3)

    def chunk(self, index: int, count: int) -> ChunkWatch:
        """Watch the attempts at one chunk.

        Args:
            index: Zero-based number of the chunk.
            count: Chunks of the request.
        """
        self.chunks = max(self.chunks, count)
        return ChunkWatch(self, index, count)

    def retried(self, model: str, chunk_index: int, delay_s: float, cause: str) -> None:
        """Note that a chunk is tried again, after a pause of `delay_s`."""
        self.retries += 1
        self.events.append(Retry(time.perf_counter(), model, chunk_index, delay_s, cause))

    def hedged(self, model: str, chunk_index: int, deployment: str) -> None:
        """Note that a second copy of a slow call goes to `deployment`."""
        self.hedges += 1
        self.events.append(Hedge(time.perf_counter(), model, chunk_index, deployment))

    def fell_back(self, from_model: str, to_model: str, reason: Reason) -> None:
        """Note that the whole request goes to another model."""
        self.fallbacks += 1
        self.events.append(Fallback(time.perf_counter(), from_model, to_model, reason))

    def answered(self, response: RerankResponse) -> None:
        """End the record of a call that was answered."""
        if self.is_ended:
            return
        self.model, self.usage = response.model, response.usage
        if response.extra_fields is not None:
            self.provider = response.extra_fields.provider
        self._end(response)

    def failed(self, reason: Reason, code: Code) -> None:
        """End the record of a call that failed or was refused; `code` is what the caller sees."""
        if self.is_ended:
            return
        self.reason, self.code = reason, code
        self._end(None)

    def _end(self, response: RerankResponse | None) -> None:
        self.ended_s = time.perf_counter()
        if self._ended.keeps_texts:
            self.response = response
        else:
            self.request = None
        self._ended.call_ended(self)

    def provider_call_started(self, now_s: float) -> None:
        """Count a provider call as under way."""
        if not self._running:
            self._busy_since_s = now_s
        self._running += 1

    def provider_call_ended(self, attempt: AttemptWatch, now_s: float) -> None:
        """Keep a provider call that has ended; one that outlived the rerank call is handed on by itself."""
        self._running -= 1
        if not self._running:
            self.provider_s += now_s - self._busy_since_s
        if self.is_ended:
            self._ended.attempt_ended_late(attempt)
            return
        self.attempts.append(attempt)
        if attempt.reply is not None:
            self.provider, self.deployment = attempt.provider, attempt.deployment
