"""What is noted of one rerank call while it runs, for its spans, its metrics and its line in the log."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextvars import Token
from types import TracebackType
from typing import Any, Self

from rerankd.contract import RerankRequest, RerankResponse
from rerankd.domain import CallContext
from rerankd.errors import Code, Reason
from rerankd.telemetry import names
from rerankd.telemetry.metrics import metrics
from rerankd.telemetry.trace import Active, SpanRecord, Trace, active, current_trace_id, new_id
from rerankd_adapters.base import AdapterError, ProviderReply

_MAX_NAME_CHARS = 200


class CallRecord:
    """One call of a model. For one event loop; begin and end it in the same task."""

    __slots__ = (
        "_attempts",
        "_busy_since_s",
        "_call",
        "_exemplar",
        "_request",
        "_running",
        "_span",
        "_started_s",
        "_token",
        "_trace",
        "attempts",
        "chunks",
        "deployment",
        "fallbacks",
        "hedges",
        "latency_ms",
        "model",
        "provider",
        "provider_s",
        "retries",
    )

    def __init__(self, request: RerankRequest, call: CallContext) -> None:
        self._request = request
        self._call = call
        self._started_s = time.perf_counter()
        self._running = 0
        self._busy_since_s = 0.0
        self._attempts: list[AttemptWatch] = []
        """Those that have ended; emptied with the call, for they refer back to it."""
        self.provider_s = 0.0
        """Time in which a provider was waited for."""
        self.attempts = self.retries = self.hedges = self.fallbacks = self.chunks = 0
        self.latency_ms = 0.0
        """Of the whole call, once it has ended."""
        self.model = ""
        """Public name of the model that is asked first; empty while there is none of the name that was asked for."""
        self.provider = self.deployment = ""
        """Of the last provider call that was answered."""
        metrics.in_flight.of().inc()
        current = active.get()
        self._trace: Trace | None = None
        self._span: SpanRecord | None = None
        self._token: Token[Active | None] | None = None
        self._exemplar: dict[str, str] | None = None
        if current is not None and current.trace.sink is not None:
            trace = self._trace = current.trace
            origin = trace.origin
            self._span = SpanRecord("", "internal", origin, new_id(64), current.span.span_id, origin.now_ns(), {})
            self._token = active.set(Active(trace, self._span))
            if trace.is_sampled:
                self._exemplar = {"trace_id": f"{trace.origin.trace_id:032x}"}
            if call.request_type == "batch_rerank":
                trace.link(self._span.span_id)

    @property
    def trace_id(self) -> str:
        """Trace id as 32 hexadecimal digits; empty without a trace."""
        return current_trace_id() or ""

    def chunk(self, index: int, count: int) -> ChunkWatch:
        """Watch the attempts at one chunk."""
        self.chunks = max(self.chunks, count)
        return ChunkWatch(self, index, count)

    def fell_back(self, from_model: str, to_model: str, reason: Reason) -> None:
        """Note that the whole request goes to another model."""
        self.fallbacks += 1
        metrics.fallbacks.of(metrics.model(from_model), reason.value).inc()
        self._event(names.FALLBACK, {"from": from_model, "to": to_model, "reason": reason.value})

    def _event(self, event: names.Event, attributes: dict[str, Any]) -> None:
        if self._span is not None:
            self._span.add_event(event.name, attributes)

    def answered(self, response: RerankResponse) -> None:
        """End the record of a call that was answered."""
        elapsed_s = self._end()
        call, usage, model = self._call, response.usage, metrics.model(response.model)
        provider = response.extra_fields.provider if response.extra_fields else self.provider
        self._count(elapsed_s, model, provider, Code.OK)
        metrics.call_documents.of(model).observe(len(self._request.documents))
        if usage is not None:
            metrics.call_tokens.of(model).observe(usage.total_tokens)
            if usage.saved_cost:
                metrics.saved.of(model).inc(usage.saved_cost)
        metrics.overhead_seconds.of(call.transport).observe(max(elapsed_s - self.provider_s, 0.0), self._exemplar)
        if self._span is not None and self._is_exported(elapsed_s, is_error=False):
            self._span.attributes = self._answer_attributes(response, provider)
            self._emit(response.model, elapsed_s, "ok", response)
        self._attempts.clear()

    def failed(self, reason: Reason, code: Code) -> None:
        """End the record of a call that failed: why, and what the caller sees."""
        model = self.model
        elapsed_s = self._end()
        self._count(elapsed_s, metrics.model(model) if model else "", self.provider, code)
        if self._span is not None and self._is_exported(elapsed_s, is_error=True):
            self._span.attributes = self._common_attributes()
            self._span.attributes[names.ERROR_TYPE] = reason.value
            self._span.error = reason.value
            self._emit(model or self._request.model[:_MAX_NAME_CHARS], elapsed_s, reason.value, None)
        self._attempts.clear()

    def _end(self) -> float:
        metrics.in_flight.of().dec()
        if self._token is not None:
            active.reset(self._token)
        elapsed_s = time.perf_counter() - self._started_s
        self.latency_ms = round(elapsed_s * 1000, 3)
        return elapsed_s

    def _count(self, elapsed_s: float, model: str, provider: str, code: Code) -> None:
        call = self._call
        metrics.calls.of(call.transport, model, provider, code.name).inc(1, self._exemplar)
        metrics.call_seconds.of(call.transport, model).observe(elapsed_s, self._exemplar)
        if call.request_type == "batch_rerank":
            metrics.batch_items.of("ok" if code is Code.OK else "failed").inc()

    def _is_exported(self, elapsed_s: float, *, is_error: bool) -> bool:
        return self._trace is not None and self._trace.is_exported(int(elapsed_s * 1e9), is_error=is_error)

    def _common_attributes(self) -> dict[str, Any]:
        request = self._request
        found: dict[str, Any] = {
            names.OPERATION: "rerank",
            names.REQUEST_MODEL: request.model[:_MAX_NAME_CHARS] or self.model,
            names.DOCUMENTS: len(request.documents),
            names.CHUNK_COUNT: self.chunks,
        }
        if request.top_n is not None:
            found[names.TOP_N] = request.top_n
        if self.provider:
            found[names.PROVIDER] = self.provider
        return found

    def _answer_attributes(self, response: RerankResponse, provider: str) -> dict[str, Any]:
        found = self._common_attributes()
        found[names.PROVIDER] = provider
        found[names.RESPONSE_MODEL] = response.model
        usage = response.usage
        if usage is not None:
            found |= _usage(usage.prompt_tokens, usage.completion_tokens, usage.search_units, usage.cost)
            found[names.CACHED_DOCUMENTS] = usage.cached_documents
        return found

    def _emit(self, model: str, elapsed_s: float, outcome: str, response: RerankResponse | None) -> None:
        span, trace = self._span, self._trace
        if span is None or trace is None or trace.sink is None:
            return
        span.name = f"{names.MODEL_SPAN} {model}" if model else names.MODEL_SPAN
        span.ended_ns = trace.origin.now_ns()
        span.attributes[names.LATENCY_MS] = round(elapsed_s * 1000, 3)
        span.attributes[names.OUTCOME] = outcome
        span.attributes |= trace.sink.capture(self._request, response)
        trace.emit([span, *(each for attempt in self._attempts for each in attempt.spans())])

    def _enter_provider(self, now_s: float) -> None:
        if not self._running:
            self._busy_since_s = now_s
        self._running += 1
        self.attempts += 1

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
        self.record._event(names.RETRY, attributes)

    def hedged(self, model: str, deployment: str) -> None:
        """Note that a second copy of a slow call is sent."""
        self.record.hedges += 1
        metrics.hedges.of(metrics.model(model)).inc()
        self.record._event(names.HEDGE, {names.CHUNK_INDEX: self.index, "deployment": deployment})


class AttemptWatch:
    """Watches one provider call: a context in which it is made. Give it the reply before leaving."""

    __slots__ = ("_chunk", "_documents", "_number", "_outcome", "_place", "_span", "_started_s", "_token", "reply")

    def __init__(self, chunk: ChunkWatch, place: tuple[str, str, str], number: int, documents: int) -> None:
        self._chunk = chunk
        self._place = place
        self._number = number
        self._outcome = ""
        self._documents = documents
        self._span: SpanRecord | None = None
        self._token: Token[Active | None] | None = None
        self.reply: ProviderReply | None = None

    def __enter__(self) -> Self:
        record = self._chunk.record
        self._started_s = time.perf_counter()
        record._enter_provider(self._started_s)
        parent, trace = record._span, record._trace
        if parent is not None and trace is not None:
            name = f"{names.MODEL_SPAN} {self._place[1]}"
            origin = trace.origin
            self._span = SpanRecord(name, "client", origin, new_id(64), parent.span_id, origin.now_ns(), {})
            self._token = active.set(Active(trace, self._span))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        now_s = time.perf_counter()
        elapsed_s = now_s - self._started_s
        record = self._chunk.record
        record._leave_provider(now_s)
        provider, model, deployment = self._place
        outcome = "ok" if error is None else _outcome(error)
        label = metrics.model(f"{provider}/{model}")
        metrics.provider_seconds.of(provider, label, outcome).observe(elapsed_s, record._exemplar)
        reply = self.reply
        if reply is not None:
            record.provider, record.deployment = provider, deployment
            if reply.search_units:
                metrics.search_units.of(provider, label).inc(reply.search_units)
            if reply.cost_usd:
                metrics.cost.of(provider, label).inc(reply.cost_usd)
        if self._token is not None:
            active.reset(self._token)
        if self._span is not None:
            self._span.ended_ns = self._span.origin.now_ns()
            self._outcome = outcome
            record._attempts.append(self)

    def spans(self) -> list[SpanRecord]:
        """Make the span of the call, which has ended, and those of its stages."""
        span = self._span
        if span is None:
            return []
        outcome = self._outcome
        provider, model, deployment = self._place
        span.attributes = {
            names.OPERATION: "rerank",
            names.PROVIDER: provider,
            names.REQUEST_MODEL: model,
            names.CHUNK_INDEX: self._chunk.index,
            names.CHUNK_COUNT: self._chunk.count,
            names.DOCUMENTS: self._documents,
            names.ATTEMPT: self._number,
            names.DEPLOYMENT: deployment,
            names.LATENCY_MS: round((span.ended_ns - span.started_ns) / 1e6, 3),
            names.OUTCOME: outcome,
        }
        if outcome not in ("ok", "cancelled"):
            span.error = outcome
            span.attributes[names.ERROR_TYPE] = outcome
        reply = self.reply
        if reply is None:
            return [span]
        span.attributes[names.RESPONSE_MODEL] = reply.model or model
        span.attributes |= _usage(reply.prompt_tokens, reply.completion_tokens, reply.search_units, reply.cost_usd)
        return [span, *_stage_spans(span, reply)]


def cooldown_started(deployment: str, seconds: float) -> None:
    """Note that a deployment is left alone from now on."""
    metrics.cooldowns.of(metrics.deployment(deployment)).inc()
    current = active.get()
    if current is not None:
        attributes = {"deployment": deployment, "seconds": round(seconds, 3)}
        current.span.add_event(names.COOLDOWN.name, attributes)


def _stage_spans(span: SpanRecord, reply: ProviderReply) -> Sequence[SpanRecord]:
    """Make spans of the stages a reply tells of: they ran one after the other, the last until the reply."""
    spans = []
    ended_ns = span.ended_ns
    for stage in reversed(reply.stages):
        started_ns = max(ended_ns - int(stage.latency_ms * 1e6), span.started_ns)
        attributes = {
            names.STAGE: stage.name,
            names.RESPONSE_MODEL: stage.model,
            names.DOCUMENTS: stage.documents,
            names.LATENCY_MS: stage.latency_ms,
        }
        if stage.shortened_by:
            attributes[names.SHORTENED_BY] = stage.shortened_by
        name = f"{names.STAGE_SPAN} {stage.name}"
        made = SpanRecord(name, "internal", span.origin, new_id(64), span.span_id, started_ns, attributes)
        made.ended_ns = ended_ns
        spans.append(made)
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
