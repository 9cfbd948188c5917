"""The spans of a call, made of its record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from rerankd.telemetry import names
from rerankd.telemetry.calls.call_record import MAX_NAME_CHARS, CallEvent, CallRecord, Hedge, Retry
from rerankd.telemetry.calls.member_watch import MemberWatch
from rerankd.telemetry.calls.server_span import ServerSpan
from rerankd.telemetry.calls.trace_context import Attributes, TraceContext, new_id
from rerankd.telemetry.calls.watches import AttemptWatch
from rerankd_adapters.call import RoutedReply

Kind = Literal["server", "client", "internal"]


class SpanRecord(NamedTuple):
    """One span that has ended, in terms of no library."""

    name: str
    kind: Kind
    trace_id: int
    state: str
    """Value of `tracestate`; empty without one."""
    span_id: int
    parent_id: int
    """0 for the root of a trace."""
    started_ns: int
    """Since 1970, as `ended_ns`."""
    ended_ns: int
    attributes: Attributes
    events: Sequence[tuple[str, int, Attributes]] = ()
    """Name, nanoseconds since 1970, attributes."""
    links: Sequence[int] = ()
    """Span ids of the same trace."""
    error: str | None = None
    """Description of the error status; `None` where the span did not fail."""


def call_spans(record: CallRecord, trace: TraceContext, span_id: int, captured: Attributes) -> Iterator[SpanRecord]:
    """Make the span of a call, those of its reranker's members, and of its provider calls, each before its stages.

    Args:
        record: Of a call that has ended.
        trace: The call's.
        span_id: For the span of the call.
        captured: Further attributes of it.
    """
    model = record.model or record.requested_model
    yield SpanRecord(
        f"{names.MODEL_SPAN} {model}" if model else names.MODEL_SPAN,
        "internal",
        trace.trace_id,
        trace.state,
        span_id,
        trace.span_id,
        trace.at_ns(record.started_s),
        trace.at_ns(record.ended_s),
        _call_attributes(record) | captured,
        [_event(event, trace) for event in record.events],
        error=None if record.reason is None else record.reason.value,
    )
    for member in record.members:
        yield _member_span(member, record, trace, span_id)
    for attempt in record.attempts:
        yield from _attempt_spans(attempt, trace, span_id if attempt.parent is None else attempt.parent.span_id)


def server_span(span: ServerSpan) -> SpanRecord:
    """Make the record of a server's span that has ended."""
    attributes = span.describe()
    if span.error is not None:
        attributes[names.ERROR_TYPE] = span.error
    return SpanRecord(
        span.name,
        "server",
        span.trace_id,
        span.state,
        span.span_id,
        span.parent.span_id if span.parent else 0,
        span.at_ns(span.started_s),
        span.at_ns(span.ended_s),
        attributes,
        links=span.links,
        error=span.error,
    )


def _event(event: CallEvent, trace: TraceContext) -> tuple[str, int, Attributes]:
    attributes: Attributes
    if isinstance(event, Retry):
        delay_ms = round(event.delay_s * 1000, 3)
        name = names.RETRY
        attributes = {names.CHUNK_INDEX: event.chunk_index, "delay_ms": delay_ms, "reason": event.cause}
    elif isinstance(event, Hedge):
        name = names.HEDGE
        attributes = {names.CHUNK_INDEX: event.chunk_index, "deployment": event.deployment}
    else:
        name = names.FALLBACK
        attributes = {"from": event.from_model, "to": event.to_model, "reason": event.reason.value}
    return name.name, trace.at_ns(event.at_s), attributes


def _call_attributes(record: CallRecord) -> Attributes:
    usage = record.usage
    found: Attributes = {
        names.OPERATION: "rerank",
        names.REQUEST_MODEL: record.requested_model or record.model[:MAX_NAME_CHARS],
        names.DOCUMENTS: record.documents,
        names.CHUNK_COUNT: record.chunks,
        names.LATENCY_MS: record.latency_ms,
        names.OUTCOME: "ok" if record.reason is None else record.reason.value,
    }
    if record.top_n is not None:
        found[names.TOP_N] = record.top_n
    if record.provider:
        found[names.PROVIDER] = record.provider
    if record.reason is not None:
        found[names.ERROR_TYPE] = record.reason.value
    else:
        found[names.RESPONSE_MODEL] = record.model
    if usage is not None:
        found |= _usage(usage.prompt_tokens, usage.completion_tokens, usage.search_units, usage.cost)
        found[names.CACHED_DOCUMENTS] = usage.cached_documents
    return found


def _member_span(member: MemberWatch, record: CallRecord, trace: TraceContext, call_id: int) -> SpanRecord:
    attributes: Attributes = {
        names.STAGE: member.name,
        names.REQUEST_MODEL: member.model,
        names.DOCUMENTS: member.documents,
        names.LATENCY_MS: round(member.elapsed_s * 1000, 3),
        names.OUTCOME: member.outcome,
    }
    if member.is_error:
        attributes[names.ERROR_TYPE] = member.outcome
    if (usage := member.usage) is not None:
        attributes |= _usage(usage.prompt_tokens, usage.completion_tokens, usage.search_units, usage.cost)
        attributes[names.CACHED_DOCUMENTS] = usage.cached_documents
    return SpanRecord(
        f"{names.STAGE_SPAN} {member.name}",
        "internal",
        trace.trace_id,
        trace.state,
        member.span_id,
        call_id if member.parent is None else member.parent.span_id,
        trace.at_ns(member.started_s),
        trace.at_ns(member.ended_s or record.ended_s),
        attributes,
        error=member.outcome if member.is_error else None,
    )


def _attempt_spans(attempt: AttemptWatch, trace: TraceContext, parent_id: int) -> list[SpanRecord]:
    reply = attempt.reply
    attributes: Attributes = {
        names.OPERATION: attempt.operation,
        names.PROVIDER: attempt.provider,
        names.REQUEST_MODEL: attempt.model,
        names.CHUNK_INDEX: attempt.chunk_index,
        names.CHUNK_COUNT: attempt.chunk_count,
        names.DOCUMENTS: attempt.documents,
        names.ATTEMPT: attempt.number,
        names.DEPLOYMENT: attempt.deployment,
        names.LATENCY_MS: round(attempt.elapsed_s * 1000, 3),
        names.OUTCOME: attempt.outcome,
    }
    if attempt.is_error:
        attributes[names.ERROR_TYPE] = attempt.outcome
    if reply is not None:
        attributes[names.RESPONSE_MODEL] = reply.model or attempt.model
        attributes |= _usage(reply.prompt_tokens, reply.completion_tokens, reply.search_units, reply.cost_usd)
    span = SpanRecord(
        f"{attempt.operation} {attempt.model}",
        "client",
        trace.trace_id,
        trace.state,
        attempt.span_id,
        parent_id,
        trace.at_ns(attempt.started_s),
        trace.at_ns(attempt.ended_s),
        attributes,
        [(event.name, trace.at_ns(event.at_s), event.attributes) for event in attempt.events],
        error=attempt.outcome if attempt.is_error else None,
    )
    return [span] if reply is None else [span, *_stage_spans(span, reply)]


def _stage_spans(call: SpanRecord, reply: RoutedReply) -> list[SpanRecord]:
    """Make the spans of a reply's stages, last stage first: they ran one after the other, the last until the reply."""
    spans = []
    ended_ns = call.ended_ns
    for stage in reversed(reply.stages):
        started_ns = max(ended_ns - int(stage.latency_ms * 1e6), call.started_ns)
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
                call.trace_id,
                call.state,
                new_id(64),
                call.span_id,
                started_ns,
                ended_ns,
                attributes,
            )
        )
        ended_ns = started_ns
    return spans


def _usage(input_tokens: int, output_tokens: int, search_units: int, cost: float | None) -> Attributes:
    found: Attributes = {
        names.INPUT_TOKENS: input_tokens,
        names.OUTPUT_TOKENS: output_tokens,
        names.SEARCH_UNITS: search_units,
    }
    if cost is not None:
        found[names.COST] = cost
    return found
