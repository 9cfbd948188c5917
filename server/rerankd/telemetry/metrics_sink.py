"""Counts ended calls."""

from __future__ import annotations

from rerankd.contract.errors import Code
from rerankd.telemetry.calls.call_record import CallRecord, Fallback, Hedge, Retry
from rerankd.telemetry.calls.recorder import EndedBatch
from rerankd.telemetry.calls.watches import AttemptWatch
from rerankd.telemetry.metrics.instruments import metrics

_CODES = {code: code.name for code in Code}
Exemplar = dict[str, str]


class MetricsSink:
    """Counts and observes calls and provider calls in the metrics of the process. Satisfies `Sink`."""

    name = "metrics"
    needs_texts = None
    is_prompt = False

    def consume(self, batch: EndedBatch) -> None:
        """Count a batch."""
        for record in batch.calls:
            exemplar = _exemplar(record)
            for attempt in record.attempts:
                _count_attempt(attempt, exemplar)
            _count_call(record, exemplar)
            _count_events(record)
        for attempt in batch.late_attempts:
            _count_attempt(attempt, None)


def _exemplar(record: CallRecord) -> Exemplar | None:
    trace = record.trace
    if trace is None or not trace.is_exporting or not trace.is_sampled:
        return None
    return {"trace_id": f"{trace.trace_id:032x}"}


def _count_call(record: CallRecord, exemplar: Exemplar | None) -> None:
    call, usage = record.call, record.usage
    # What serves a name makes it more than a caller's text.
    label_of = metrics.model.learn if record.reason is None else metrics.model
    model = label_of(record.model) if record.model else ""
    metrics.calls.of(call.transport, model, record.provider, _CODES[record.code]).inc(1, exemplar)
    metrics.call_seconds.of(call.transport, model).observe(record.elapsed_s, exemplar)
    if call.request_type == "batch_rerank":
        metrics.batch_items.of("ok" if record.reason is None else "failed").inc()
    if record.reason is not None:
        return
    metrics.call_documents.of(model).observe(record.documents)
    metrics.overhead_seconds.of(call.transport).observe(max(record.elapsed_s - record.provider_s, 0.0), exemplar)
    if usage is not None:
        if usage.total_tokens:
            metrics.call_tokens.of(model).observe(usage.total_tokens)
        if usage.saved_cost:
            metrics.saved.of(model).inc(usage.saved_cost)


def _count_events(record: CallRecord) -> None:
    for event in record.events:
        match event:
            case Retry():
                metrics.retries.of(metrics.model(event.model)).inc()
            case Hedge():
                metrics.hedges.of(metrics.model(event.model)).inc()
            case Fallback():
                metrics.fallbacks.of(metrics.model(event.from_model), event.reason.value).inc()


def _count_attempt(attempt: AttemptWatch, exemplar: Exemplar | None) -> None:
    provider, reply = attempt.provider, attempt.reply
    label_of = metrics.model if reply is None else metrics.model.learn
    model = label_of(f"{provider}/{attempt.model}")
    metrics.provider_seconds.of(provider, model, attempt.outcome).observe(attempt.elapsed_s, exemplar)
    if reply is None:
        return
    deployment = metrics.deployment.learn(attempt.deployment)
    if reply.search_units:
        metrics.search_units.of(provider, model, deployment).inc(reply.search_units)
    if reply.cost_usd:
        metrics.cost.of(provider, model, deployment).inc(reply.cost_usd)
