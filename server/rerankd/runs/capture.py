"""Makes the row of a call's run from its record, with as much of its texts as the policy keeps."""

from __future__ import annotations

import time
from typing import Any, Final

from rerankd.contract.errors import Reason
from rerankd.runs.rows import RunRow, row_of
from rerankd.runs.run import RunAttempt, RunMember
from rerankd.runs.run_id import RunIds
from rerankd.runs.settings import RunSettings
from rerankd.runs.stored_details import ResultColumns, StoredDetails
from rerankd.runs.text_capture import TextCapture, has_texts_alone, images_of, sizes_of
from rerankd.telemetry.calls.call_record import CallEvent, CallRecord, Fallback, Hedge, Retry, ScoredTexts
from rerankd.telemetry.calls.watches import AttemptWatch, milliseconds

PREVIEW_CHARS: Final = 200
"""Characters of the query in lists of runs."""
_UNIDENTIFIED: Final = frozenset({Reason.API_KEY_MISSING, Reason.API_KEY_INVALID, Reason.ACCESS_UNAVAILABLE})


class RunCapture:
    """Makes the rows of ended calls. Safe for concurrent threads.

    Args:
        settings: Which calls are logged, and what of them.
    """

    def __init__(self, settings: RunSettings) -> None:
        self._takes_all = settings.calls == "all"
        self._whole = TextCapture(settings.capture, settings)
        self._without_images = TextCapture("full", settings, "images")
        self._cut = TextCapture("truncated", settings, "texts")
        self._max_run = settings.max_run_kb * 1024
        self._ids = RunIds()

    def takes(self, record: CallRecord) -> bool:
        """Whether a call is logged: not what was refused before it was one, or came from nobody who is known.

        Replays are logged whatever model answers them.
        """
        if record.reranker is None and not self._takes_all and not record.call.replay_of:
            return False
        return not record.path and record.reason not in _UNIDENTIFIED

    def is_quick(self, record: CallRecord) -> bool:
        """Whether number and length of its texts tell how long it takes to write a call down."""
        return self._whole.capture != "full" or record.texts is None or has_texts_alone(record.texts.request)

    def row_of(self, record: CallRecord) -> RunRow:
        """Make the row of an ended call's run."""
        details = self._details(record, kept := self._kept(record.texts))
        return row_of(self._values(record, kept, details), details)

    def _values(self, record: CallRecord, kept: TextCapture, details: StoredDetails) -> tuple[Any, ...]:
        """Return the fields of `Run` but its details, in their order."""
        call, usage, reranker, trace = record.call, record.usage, record.reranker, record.trace
        started_at = time.time() - time.perf_counter() + record.started_s
        return (
            self._ids.new(started_at),
            started_at,
            record.latency_ms,
            call.source or _source(call.transport, call.request_type),
            call.transport,
            "ok" if record.reason is None else "error",
            call.dialect,
            call.caller.identity,
            call.caller.key_id,
            record.user,
            record.model or record.requested_model,
            "" if reranker is None else reranker.key,
            0 if reranker is None else reranker.version,
            "" if reranker is None else reranker.strategy,
            "" if record.reason is None else record.reason.value,
            details.query[:PREVIEW_CHARS],
            record.documents,
            0 if record.response is None else len(record.response.results),
            0 if usage is None else usage.total_tokens,
            None if usage is None else usage.cost,
            0 if usage is None else usage.cached_documents,
            "" if trace is None else f"{trace.trace_id:032x}",
            call.request_id,
            call.replay_of,
            call.experiment_id,
            "none" if record.texts is None else kept.capture,
        )

    def _details(self, record: CallRecord, kept: TextCapture) -> StoredDetails:
        texts, response = record.texts, record.response
        details = StoredDetails() if texts is None else kept.details_of(texts, response)
        details.requested_model = record.requested_model
        if record.members:
            details.members = [
                RunMember(each.name, each.model, each.documents, milliseconds(each.elapsed_s), each.outcome)
                for each in record.members
                if each.outcome
            ]
        details.attempts = [_attempt(each, record.started_s) for each in record.attempts]
        if record.events:
            details.events = [_sentence(event) for event in record.events]
        details.usage = record.usage
        details.provider, details.deployment = record.provider, record.deployment
        if response is not None:
            results = response.results[: kept.most]
            details.result_columns = ResultColumns(
                [each.index for each in results], [each.relevance_score for each in results]
            )
            details.warnings = [] if response.meta is None else response.meta.warnings
            if (extra := response.extra_fields) is not None:
                details.stages, details.score_space = extra.stages, extra.score_space.value
        return details

    def _kept(self, texts: ScoredTexts | None) -> TextCapture:
        """Return what is kept of texts: less than `full` says of those that take more than `max_run_kb`."""
        if texts is None or self._whole.capture != "full":
            return self._whole
        content, images = sizes_of(texts)
        if content > self._max_run:
            return self._cut
        return self._whole if content + images <= self._max_run else self._without_images


def chars_of(texts: ScoredTexts | None) -> int:
    """Return how many characters a record keeps alive, about."""
    return 0 if texts is None else len(texts.query) + sum(map(len, texts.texts)) + images_of(texts)


def _source(transport: str, request_type: str) -> str:
    if request_type == "batch_rerank":
        return "batch"
    return "api" if transport == "http" else transport


def _attempt(attempt: AttemptWatch, started_s: float) -> RunAttempt:
    reply = attempt.reply
    return RunAttempt(
        attempt.provider,
        attempt.model,
        attempt.deployment,
        attempt.chunk_index,
        attempt.number,
        attempt.documents,
        milliseconds(attempt.elapsed_s),
        attempt.outcome,
        milliseconds(attempt.started_s - started_s),
        0 if reply is None else reply.search_units,
        None if reply is None else reply.cost_usd,
    )


def _sentence(event: CallEvent) -> str:
    match event:
        case Retry():
            return f"retry of chunk {event.chunk_index} of {event.model} after {event.cause}"
        case Hedge():
            return f"hedge of chunk {event.chunk_index} of {event.model} to {event.deployment}"
        case Fallback():
            return f"fallback from {event.from_model} to {event.to_model} after {event.reason.value}"
