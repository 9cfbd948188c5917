"""The facts of one rerank call, collected while it runs. Sinks make metrics, log lines and spans of them."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple, Protocol

from msgspec import Struct, field

from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import Code, Reason
from rerankd.contract.messages import RerankRequest, RerankResponse, Usage
from rerankd.telemetry.calls.member_watch import MemberWatch
from rerankd.telemetry.calls.trace_context import TraceContext, current_span
from rerankd.telemetry.calls.watches import AttemptWatch, ChunkWatch, milliseconds

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


class RerankerIdentity(NamedTuple):
    """The reranker that answers a call."""

    key: str
    strategy: str
    version: int
    """Of a stored reranker, from 1; 0 for one of the settings."""


class ScoredTexts(Protocol):
    """The texts of a call as models read them. `RenderedRequest` satisfies it."""

    @property
    def request(self) -> RerankRequest:
        """The request, its instruction as the model reads it."""
        ...

    @property
    def query(self) -> str:
        """The query."""
        ...

    @property
    def texts(self) -> Sequence[str]:
        """One text a document."""
        ...

    @property
    def indices(self) -> Sequence[int]:
        """Index in the request of each text, ascending."""
        ...

    @property
    def blank_indices(self) -> Sequence[int]:
        """Index in the request of each blank document that is not scored, ascending."""
        ...

    @property
    def changed_indices(self) -> Collection[int]:
        """Index in the request of each document whose text guardrails have changed."""
        ...

    @property
    def images(self) -> Sequence[str | None] | None:
        """The image of each document of `texts`, or `None`; `None` if no document has one."""
        ...


class CallObserver(Protocol):
    """Takes what has ended."""

    def keeps_texts(self, record: CallRecord) -> bool:
        """Tell whether an ended call is to hold its request, texts and response."""
        ...

    def call_ended(self, record: CallRecord) -> None:
        """Take a call that has ended."""
        ...

    def attempt_ended_late(self, attempt: AttemptWatch) -> None:
        """Take a provider call that went on after its rerank call had ended."""
        ...


class RefusedRequest(NamedTuple):
    """A request to the server that was refused before it was a call of any service."""

    call: CallContext
    reason: Reason
    code: Code
    path: str
    """Path of the HTTP request, or the gRPC method; of any length."""
    started_s: float
    """By the clock of `time.perf_counter`."""


class CallRecord(Struct, eq=False):
    """One rerank call. For one event loop. Made by `Recorder.begin`; ended by `answered` or `failed`, once."""

    request: RerankRequest | None
    """As it was decoded; nothing of it needs to be valid. Released when the call ends, unless a sink needs texts."""
    call: CallContext
    """Who calls, over what."""
    _ended: CallObserver
    """Takes the record when it ends, and late attempts."""
    requested_model: str = ""
    """As the caller named it; empty for the default model."""
    user: str = ""
    top_n: int | None = None
    documents: int = 0
    trace: TraceContext | None = None
    """The trace the call is part of; `None` where none is kept or passed on."""
    started_s: float = field(default_factory=time.perf_counter)
    """By the clock of `time.perf_counter`."""
    ended_s: float = 0.0
    """As `started_s`; 0 while the call runs."""
    path: str = ""
    """Path or method of a refused request; empty for a call."""
    texts: ScoredTexts | None = None
    """Query and documents once guardrails have read them. Released as `request` is."""
    response: RerankResponse | None = None
    """Set when the call has been answered and a sink needs texts."""
    reranker: RerankerIdentity | None = None
    """The reranker that is asked first, or that answered; `None` for models."""
    model: str = ""
    """Public name of the model that is asked first, or that answered; empty until one is resolved."""
    provider: str = ""
    """Of the last provider call that was answered."""
    deployment: str = ""
    """As `provider`."""
    usage: Usage | None = None
    """`None` where the call failed."""
    reason: Reason | None = None
    """Why the call failed; `None` where it did not."""
    code: Code = Code.OK
    attempts: list[AttemptWatch] = field(default_factory=list)
    """Provider calls that have ended, in that order."""
    events: list[CallEvent] = field(default_factory=list)
    members: Sequence[MemberWatch] = ()
    """Requests of rerankers to their members, in the order in which they began."""
    retries: int = 0
    hedges: int = 0
    fallbacks: int = 0
    chunks: int = 0
    provider_s: float = 0.0
    """Seconds in which at least one provider call was under way."""
    _running: int = 0
    _busy_since_s: float = 0.0

    @classmethod
    def of(cls, request: RerankRequest, call: CallContext, ended: CallObserver) -> CallRecord:
        """Make the record of a call that begins now, in the running task's trace."""
        current = current_span.get()
        return cls(
            request,
            call,
            ended,
            request.model[:MAX_NAME_CHARS],
            request.user[:MAX_NAME_CHARS],
            request.top_n,
            len(request.documents),
            None if current is None else current.trace,
        )

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
        return milliseconds(self.elapsed_s)

    def chunk(self, index: int, count: int) -> ChunkWatch:
        """Watch the attempts at one chunk.

        Args:
            index: Zero-based number of the chunk.
            count: Chunks of the request.
        """
        self.chunks = max(self.chunks, count)
        return ChunkWatch(self, index, count)

    def member(self, name: str, model: str, documents: int) -> MemberWatch:
        """Watch a request of the called reranker to one of its members.

        Args:
            name: Name of the member.
            model: Public name of its model.
            documents: Documents it is asked for.
        """
        return MemberWatch(self, name, model, documents, None)

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
        if self._ended.keeps_texts(self):
            self.response = response
        else:
            self.request = self.texts = None
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
            attempt.late_for = self
            self._ended.attempt_ended_late(attempt)
            return
        self.attempts.append(attempt)
        if attempt.reply is not None:
            self.provider, self.deployment = attempt.provider, attempt.deployment
