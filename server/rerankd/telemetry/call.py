"""What is noted of one rerank call while it runs, for its spans, its metrics and its line in the log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextvars import Token
from types import TracebackType
from typing import Any, Self

from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import Code, Reason
from rerankd.contract.messages import RerankRequest, RerankResponse, Usage
from rerankd.telemetry import names
from rerankd.telemetry.call_line import SERVER_FAULTS, log_call
from rerankd.telemetry.metrics import metrics
from rerankd.telemetry.settling import settle_later
from rerankd.telemetry.trace import Attributes, Position, SpanRecord, Trace, active, new_id
from rerankd_adapters.base import AdapterError, ProviderReply

_MAX_NAME_CHARS = 200


class _Calls:
    under_way = 0


_calls = _Calls()


def calls_under_way() -> int:
    """Count the calls of this process that have begun and not ended."""
    return _calls.under_way


class CallRecord:
    """One call of a model. For one event loop.

    While the call runs, facts are put down and nothing more. What they are for is done when it has ended, together
    with what other calls left.
    """

    __slots__ = (
        "_attempts",
        "_busy_since_s",
        "_captured",
        "_events",
        "_is_kept",
        "_request",
        "_running",
        "_span_id",
        "_started_s",
        "_top_n",
        "call",
        "chunks",
        "code",
        "deployment",
        "documents",
        "elapsed_s",
        "ended_s",
        "fallbacks",
        "hedges",
        "latency_ms",
        "model",
        "provider",
        "provider_s",
        "reason",
        "requested_model",
        "retries",
        "trace",
        "usage",
        "user",
    )

    def __init__(self, request: RerankRequest, call: CallContext) -> None:
        current = active.get()
        self.trace = None if current is None else current.trace
        """The trace that it is part of, whether or not spans are kept."""
        self._request: RerankRequest | None = request
        self.call = call
        self._running = 0
        self._busy_since_s = 0.0
        self._attempts: list[AttemptWatch] = []
        """Those that have ended; emptied with the call, for they refer back to it."""
        self._events: list[tuple[str, float, Attributes]] = []
        self._captured: Attributes = {}
        self._span_id = 0
        self.provider_s = 0.0
        """Time in which a provider was waited for."""
        self.retries = self.hedges = self.fallbacks = self.chunks = 0
        self.model = ""
        """Public name of the model that is asked first, or that answered; empty while there is none of the name that
        was asked for."""
        self.provider = self.deployment = ""
        """Of the last provider call that was answered."""
        self.reason: Reason | None = None
        """Why it failed; `None` where it did not."""
        self.code = Code.OK
        self.usage: Usage | None = None
        _calls.under_way += 1
        self._started_s = time.perf_counter()

    @property
    def trace_id(self) -> str:
        """Trace id as 32 hexadecimal digits; empty without a trace."""
        return "" if self.trace is None else f"{self.trace.trace_id:032x}"

    @property
    def span_id(self) -> int:
        """What the spans of its provider calls call their parent."""
        if not self._span_id:
            self._span_id = new_id(64)
        return self._span_id

    def chunk(self, index: int, count: int) -> ChunkWatch:
        """Watch the attempts at one chunk."""
        self.chunks = max(self.chunks, count)
        return ChunkWatch(self, index, count)

    def fell_back(self, from_model: str, to_model: str, reason: Reason) -> None:
        """Note that the whole request goes to another model."""
        self.fallbacks += 1
        metrics.fallbacks.of(metrics.model(from_model), reason.value).inc()
        self._note(names.FALLBACK, {"from": from_model, "to": to_model, "reason": reason.value})

    def _note(self, event: names.Event, attributes: Attributes) -> None:
        self._events.append((event.name, time.perf_counter(), attributes))

    def answered(self, response: RerankResponse) -> None:
        """End the record of a call that was answered."""
        self.model, self.usage = response.model, response.usage
        if response.extra_fields is not None:
            self.provider = response.extra_fields.provider
        self._end(response)

    def failed(self, reason: Reason, code: Code) -> None:
        """End the record of a call that failed: why, and what the caller sees."""
        self.reason, self.code = reason, code
        self._end(None)

    def _end(self, response: RerankResponse | None) -> None:
        """Keep what is told of the call, and let its texts go."""
        _calls.under_way -= 1
        self.ended_s = time.perf_counter()
        """By the clock of `time.perf_counter`."""
        self.elapsed_s = self.ended_s - self._started_s
        self.latency_ms = round(self.elapsed_s * 1000, 3)
        request, trace = self._request, self.trace
        if request is None:
            return
        self._request = None
        self.documents = len(request.documents)
        self.requested_model = request.model
        self.user = request.user
        self._top_n = request.top_n
        is_prompt = self._is_kept = False
        if trace is not None and trace.sink is not None:
            is_prompt = trace.sink.is_prompt
            self._is_kept = trace.keeps(self.elapsed_s, is_error=self.reason is not None)
            if self._is_kept and trace.sink.options.captures:
                self._captured = trace.sink.capture(request, response)
        settle_later(self, is_urgent=is_prompt or self.code in SERVER_FAULTS)

    def settle(self) -> None:
        """Count the call and log its line; its spans are exported later."""
        kept = self.trace if self._is_kept else None
        exemplar = {"trace_id": self.trace_id} if kept is not None and kept.is_sampled else None
        self._count(exemplar)
        for attempt in self._attempts:
            attempt.count(exemplar)
        log_call(self)
        if kept is None:
            self._attempts.clear()
            return
        if self.call.request_type == "batch_rerank":
            kept.link(self.span_id)
        kept.later(self._export)

    def _export(self) -> None:
        if self.trace is not None:
            self.trace.emit(self._spans(self.trace))
        self._attempts.clear()

    def _count(self, exemplar: dict[str, str] | None) -> None:
        call, usage = self.call, self.usage
        model = metrics.model(self.model) if self.model else ""
        metrics.calls.of(call.transport, model, self.provider, self.code.name).inc(1, exemplar)
        metrics.call_seconds.of(call.transport, model).observe(self.elapsed_s, exemplar)
        if call.request_type == "batch_rerank":
            metrics.batch_items.of("ok" if self.reason is None else "failed").inc()
        if self.reason is not None:
            return
        metrics.call_documents.of(model).observe(self.documents)
        metrics.overhead_seconds.of(call.transport).observe(max(self.elapsed_s - self.provider_s, 0.0), exemplar)
        if usage is not None:
            if usage.total_tokens:
                metrics.call_tokens.of(model).observe(usage.total_tokens)
            if usage.saved_cost:
                metrics.saved.of(model).inc(usage.saved_cost)

    def _spans(self, trace: Trace) -> Iterator[SpanRecord]:
        """Make the span of the call, and those of its provider calls."""
        model = self.model or self.requested_model[:_MAX_NAME_CHARS]
        yield SpanRecord(
            f"{names.MODEL_SPAN} {model}" if model else names.MODEL_SPAN,
            "internal",
            trace.trace_id,
            trace.state,
            self.span_id,
            trace.span_id,
            trace.at_ns(self._started_s),
            trace.at_ns(self.ended_s),
            self._attributes(),
            trace.timed(self._events),
            error=None if self.reason is None else self.reason.value,
        )
        for attempt in self._attempts:
            yield from attempt.spans(trace)

    def _attributes(self) -> Attributes:
        usage = self.usage
        found: Attributes = {
            names.OPERATION: "rerank",
            names.REQUEST_MODEL: self.requested_model[:_MAX_NAME_CHARS] or self.model,
            names.DOCUMENTS: self.documents,
            names.CHUNK_COUNT: self.chunks,
            names.LATENCY_MS: self.latency_ms,
            names.OUTCOME: "ok" if self.reason is None else self.reason.value,
        }
        if self._top_n is not None:
            found[names.TOP_N] = self._top_n
        if self.provider:
            found[names.PROVIDER] = self.provider
        if self.reason is not None:
            found[names.ERROR_TYPE] = self.reason.value
        else:
            found[names.RESPONSE_MODEL] = self.model
        if usage is not None:
            found |= _usage(usage.prompt_tokens, usage.completion_tokens, usage.search_units, usage.cost)
            found[names.CACHED_DOCUMENTS] = usage.cached_documents
        return found | self._captured

    def _keep(self, attempt: AttemptWatch) -> None:
        """Keep an attempt that has ended for when the call has; one that outlived its call is counted alone."""
        if self._request is None:
            attempt.count(None)
        else:
            self._attempts.append(attempt)

    def _enter_provider(self, now_s: float) -> None:
        if not self._running:
            self._busy_since_s = now_s
        self._running += 1

    def _leave_provider(self, now_s: float) -> None:
        self._running -= 1
        if not self._running:
            self.provider_s += now_s - self._busy_since_s


class ChunkWatch:
    """Watches the attempts at one chunk."""

    __slots__ = ("count", "index", "record")

    def __init__(self, record: CallRecord, index: int, count: int) -> None:
        self.record = record
        self.index = index
        self.count = count

    def attempt(self, place: tuple[str, str, str], number: int, documents: int) -> AttemptWatch:
        """Watch one provider call.

        Args:
            place: Provider, the provider's name of the model, deployment.
            number: 1 for the first of the chunk.
            documents: In the chunk.
        """
        return AttemptWatch(self, place, number, documents)

    def retried(self, model: str, delay_s: float, failure: Exception) -> None:
        """Note that the chunk is tried again, after a pause."""
        self.record.retries += 1
        metrics.retries.of(metrics.model(model)).inc()
        attributes = {names.CHUNK_INDEX: self.index, "delay_ms": round(delay_s * 1000, 3), "reason": _outcome(failure)}
        self.record._note(names.RETRY, attributes)

    def hedged(self, model: str, deployment: str) -> None:
        """Note that a second copy of a slow call is sent."""
        self.record.hedges += 1
        metrics.hedges.of(metrics.model(model)).inc()
        self.record._note(names.HEDGE, {names.CHUNK_INDEX: self.index, "deployment": deployment})


class AttemptWatch:
    """Watches one provider call: a context in which it is made. Give it the reply before leaving."""

    __slots__ = (
        "_chunk",
        "_documents",
        "_ended_s",
        "_events",
        "_number",
        "_outcome",
        "_place",
        "_span_id",
        "_started_s",
        "_token",
        "reply",
        "trace",
    )

    def __init__(self, chunk: ChunkWatch, place: tuple[str, str, str], number: int, documents: int) -> None:
        self._chunk = chunk
        self._place = place
        self._number = number
        self._documents = documents
        self._events: list[tuple[str, float, Attributes]] = []
        self._span_id = 0
        self._token: Token[Position | None] | None = None
        self.reply: ProviderReply | None = None

    def __enter__(self) -> Self:
        record = self._chunk.record
        trace = record.trace
        if trace is not None and trace.sink is not None:
            self.trace = trace
            """See `Position`."""
            self._token = active.set(self)
        self._started_s = now_s = time.perf_counter()
        record._enter_provider(now_s)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended_s = now_s = time.perf_counter()
        record = self._chunk.record
        record._leave_provider(now_s)
        self._outcome = "ok" if error is None else _outcome(error)
        record._keep(self)
        if self.reply is not None:
            record.provider, _, record.deployment = self._place
        if self._token is not None:
            active.reset(self._token)

    @property
    def span_id(self) -> int:
        """See `Position`."""
        if not self._span_id:
            self._span_id = new_id(64)
        return self._span_id

    def note(self, event: str, attributes: Attributes) -> None:
        """See `Position`."""
        self._events.append((event, time.perf_counter(), attributes))

    def count(self, exemplar: dict[str, str] | None) -> None:
        """Count the call, which has ended."""
        provider, model, deployment = self._place
        reply = self.reply
        label = metrics.model(f"{provider}/{model}")
        elapsed_s = self._ended_s - self._started_s
        metrics.provider_seconds.of(provider, label, self._outcome).observe(elapsed_s, exemplar)
        if reply is None or not (reply.search_units or reply.cost_usd):
            return
        key = metrics.deployment(deployment)
        if reply.search_units:
            metrics.search_units.of(provider, label, key).inc(reply.search_units)
        if reply.cost_usd:
            metrics.cost.of(provider, label, key).inc(reply.cost_usd)

    def spans(self, trace: Trace) -> list[SpanRecord]:
        """Make the span of the call, which has ended, and those of its stages."""
        outcome, reply = self._outcome, self.reply
        provider, model, deployment = self._place
        attributes: Attributes = {
            names.OPERATION: "rerank",
            names.PROVIDER: provider,
            names.REQUEST_MODEL: model,
            names.CHUNK_INDEX: self._chunk.index,
            names.CHUNK_COUNT: self._chunk.count,
            names.DOCUMENTS: self._documents,
            names.ATTEMPT: self._number,
            names.DEPLOYMENT: deployment,
            names.LATENCY_MS: round((self._ended_s - self._started_s) * 1000, 3),
            names.OUTCOME: outcome,
        }
        is_error = outcome not in ("ok", "cancelled")
        if is_error:
            attributes[names.ERROR_TYPE] = outcome
        if reply is not None:
            attributes[names.RESPONSE_MODEL] = reply.model or model
            attributes |= _usage(reply.prompt_tokens, reply.completion_tokens, reply.search_units, reply.cost_usd)
        span = SpanRecord(
            f"{names.MODEL_SPAN} {model}",
            "client",
            trace.trace_id,
            trace.state,
            self.span_id,
            self._chunk.record.span_id,
            trace.at_ns(self._started_s),
            trace.at_ns(self._ended_s),
            attributes,
            trace.timed(self._events),
            error=outcome if is_error else None,
        )
        return [span] if reply is None else [span, *_stage_spans(span, reply)]


def cooldown_started(deployment: str, seconds: float) -> None:
    """Note that a deployment is left alone from now on."""
    metrics.cooldowns.of(metrics.deployment(deployment)).inc()
    current = active.get()
    if current is not None:
        current.note(names.COOLDOWN.name, {"deployment": deployment, "seconds": round(seconds, 3)})


def _stage_spans(span: SpanRecord, reply: ProviderReply) -> list[SpanRecord]:
    """Make spans of the stages a reply tells of: they ran one after the other, the last until the reply."""
    spans = []
    ended_ns = span.ended_ns
    for stage in reversed(reply.stages):
        started_ns = max(ended_ns - int(stage.latency_ms * 1e6), span.started_ns)
        attributes: Attributes = {
            names.STAGE: stage.name,
            names.RESPONSE_MODEL: stage.model,
            names.DOCUMENTS: stage.documents,
            names.LATENCY_MS: stage.latency_ms,
        }
        if stage.shortened_by:
            attributes[names.SHORTENED_BY] = stage.shortened_by
        spans.append(
            SpanRecord(
                f"{names.STAGE_SPAN} {stage.name}",
                "internal",
                span.trace_id,
                span.state,
                new_id(64),
                span.span_id,
                started_ns,
                ended_ns,
                attributes,
            )
        )
        ended_ns = started_ns
    return spans


def _usage(read: int, written: int, search_units: int, cost: float | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        names.INPUT_TOKENS: read,
        names.OUTPUT_TOKENS: written,
        names.SEARCH_UNITS: search_units,
    }
    if cost is not None:
        found[names.COST] = cost
    return found


def _outcome(error: BaseException) -> str:
    if isinstance(error, AdapterError):
        return str(error.kind.value)
    return "refused" if isinstance(error, Exception) else "cancelled"
