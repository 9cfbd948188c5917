"""Makes the run of a call's record, with as much of its texts as the policy keeps."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from operator import attrgetter
from typing import Any, Final

from rerankd.contract.errors import Reason
from rerankd.contract.messages import RerankRequest, RerankResponse
from rerankd.runs.run import Run, RunAttempt, RunDetails, RunDocument, RunMember, RunResult
from rerankd.runs.run_id import RunIds
from rerankd.runs.settings import RunSettings
from rerankd.telemetry.call_record import CallEvent, CallRecord, Fallback, Hedge, Retry, ScoredTexts
from rerankd.telemetry.watches import AttemptWatch

PREVIEW_CHARS: Final = 200
"""Characters of the query in lists of runs."""
_UNIDENTIFIED: Final = frozenset({Reason.API_KEY_MISSING, Reason.API_KEY_INVALID, Reason.ACCESS_UNAVAILABLE})
_PARAMETERS: Final = (
    "top_n", "score_threshold", "rank_fields", "max_chunks_per_doc", "max_tokens_per_doc", "truncation",
    "normalization", "cache", "documents_ranked", "priority", "fallbacks",
)  # fmt: skip
_UNSET: Final = RerankRequest()
_values_of: Final = attrgetter(*_PARAMETERS)
_DEFAULTS: Final = _values_of(_UNSET)


class RunCapture:
    """Makes runs of ended calls. Safe for concurrent threads.

    Args:
        settings: Which calls are logged, and what of them.
    """

    def __init__(self, settings: RunSettings) -> None:
        self._settings = settings
        self._takes_all = settings.calls == "all"
        self._most = None if settings.capture == "full" else settings.max_documents
        self._has_texts = settings.capture in ("truncated", "full")
        self._ids = RunIds()

    def takes(self, record: CallRecord) -> bool:
        """Whether a call is logged: not what was refused before it was one, or came from nobody who is known.

        Replays are logged whatever model answers them.
        """
        if record.reranker is None and not self._takes_all and not record.call.replay_of:
            return False
        return not record.path and record.reason not in _UNIDENTIFIED

    def run_of(self, record: CallRecord) -> Run:
        """Make the run of an ended call."""
        call, usage, reranker, trace = record.call, record.usage, record.reranker, record.trace
        started_at = time.time() - time.perf_counter() + record.started_s
        details = self._details(record)
        return Run(
            run_id=self._ids.new(started_at),
            started_at=started_at,
            latency_ms=record.latency_ms,
            source=call.source or _source(call.transport, call.request_type),
            transport=call.transport,
            status="ok" if record.reason is None else "error",
            dialect=call.dialect,
            caller=call.caller.identity,
            key_id=call.caller.key_id,
            user=record.user,
            model=record.model or record.requested_model,
            reranker="" if reranker is None else reranker.key,
            reranker_version=0 if reranker is None else reranker.version,
            strategy="" if reranker is None else reranker.strategy,
            reason="" if record.reason is None else record.reason.value,
            query=details.query[:PREVIEW_CHARS],
            document_count=record.documents,
            result_count=0 if record.response is None else len(record.response.results),
            total_tokens=0 if usage is None else usage.total_tokens,
            cost_usd=None if usage is None else usage.cost,
            cache_hits=0 if usage is None else usage.cached_documents,
            trace_id="" if trace is None else f"{trace.trace_id:032x}",
            request_id=call.request_id,
            replay_of=call.replay_of,
            experiment_id=call.experiment_id,
            capture="none" if record.texts is None else self._settings.capture,
            details=details,
        )

    def _details(self, record: CallRecord) -> RunDetails:
        texts, response = record.texts, record.response
        results = [] if response is None else response.results[: self._most]
        extra = None if response is None else response.extra_fields
        return RunDetails(
            query="" if texts is None else self._kept(texts.query),
            query_hash="" if texts is None else self._hash_of_cut(texts.query),
            scored_documents=0 if texts is None else len(texts.indices),
            documents=[] if texts is None else list(self._documents(texts, response)),
            results=[RunResult(each.index, each.relevance_score) for each in results],
            parameters={} if texts is None else self._parameters(texts.request),
            requested_model=record.requested_model,
            stages=[] if extra is None else extra.stages,
            members=[
                RunMember(each.name, each.model, each.documents, round(each.elapsed_s * 1000, 3), each.outcome)
                for each in record.members
                if each.outcome
            ],
            attempts=[_attempt(each, record.started_s) for each in record.attempts],
            events=[_sentence(event) for event in record.events],
            usage=record.usage,
            warnings=[] if response is None or response.meta is None else response.meta.warnings,
            provider=record.provider,
            deployment=record.deployment,
            score_space="" if extra is None else extra.score_space.value,
        )

    def _documents(self, texts: ScoredTexts, response: RerankResponse | None) -> Iterator[RunDocument]:
        """Yield the documents that are kept: the best ranked first, then, with `full`, the others."""
        if self._settings.capture == "none":
            return
        indices, most = texts.indices, self._most
        position_of: Sequence[int] | dict[int, int] = indices
        if not isinstance(indices, range):  # of all documents, so that positions equal indices
            position_of = {index: position for position, index in enumerate(indices)}
        ranked = (
            [] if response is None else [each.index for each in response.results[:most] if each.index in position_of]
        )
        if most is None or not ranked:
            seen = set(ranked)
            ranked += [index for index in indices if index not in seen][:most]
        documents, is_full = texts.request.documents, self._settings.capture == "full"
        for index in ranked:
            position = position_of[index]
            text, document = texts.texts[position], documents[index]
            kept = self._kept(text) if self._has_texts else ""
            yield RunDocument(
                index,
                kept,
                "" if len(kept) == len(text) else hash_of(text),
                "" if isinstance(document, str) else document.id,
                len(text),
                texts.objects[position] if is_full and texts.objects is not None else None,
                None if isinstance(document, str) or not self._has_texts else document.prior_score,
            )

    def _kept(self, text: str) -> str:
        match self._settings.capture:
            case "full":
                return text
            case "truncated":
                return text[: self._settings.max_chars]
            case "hashes":
                return hash_of(text)
            case _:
                return ""

    def _hash_of_cut(self, text: str) -> str:
        """Return the hash of a text that is kept in part; empty for one that is kept whole, or not at all."""
        is_cut = self._settings.capture == "truncated" and len(text) > self._settings.max_chars
        return hash_of(text) if is_cut else ""

    def _parameters(self, request: RerankRequest) -> dict[str, Any]:
        found = {}
        if (values := _values_of(request)) != _DEFAULTS:  # most requests set none
            found = {
                name: value for name, value, unset in zip(_PARAMETERS, values, _DEFAULTS, strict=True) if value != unset
            }
        if self._has_texts and request.instruction:
            found["instruction"] = self._kept(request.instruction)
            if cut := self._hash_of_cut(request.instruction):
                found["instruction_hash"] = cut
        if self._settings.capture == "full" and request.provider_options:
            found["provider_options"] = request.provider_options
        return found


def hash_of(text: str) -> str:
    """Return the BLAKE2b of a text's UTF-8 form, 16 bytes as 32 hexadecimal digits; judgements know texts by it too."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def chars_of(texts: ScoredTexts | None) -> int:
    """Return how many characters a record keeps alive, about."""
    return 0 if texts is None else len(texts.query) + sum(map(len, texts.texts))


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
        round(attempt.elapsed_s * 1000, 3),
        attempt.outcome,
        round((attempt.started_s - started_s) * 1000, 3),
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
