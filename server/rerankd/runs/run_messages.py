"""Runs as messages of the contract."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from msgspec import structs

from rerankd.contract import reranker_messages as messages
from rerankd.contract.messages import Usage
from rerankd.runs.run import Run, RunAttempt, RunDetails, RunDocument

_SAME: Final = tuple(name for name in Run.__struct_fields__ if name not in ("started_at", "status", "details"))
_ATTEMPT: Final = RunAttempt.__struct_fields__
_DOCUMENT: Final = RunDocument.__struct_fields__


def run_message(run: Run) -> messages.Run:
    """Return a run as it is told, with its details where they were read."""
    return messages.Run(
        started_at=datetime.fromtimestamp(run.started_at, UTC),
        status=messages.RunStatus(run.status),
        details=None if run.details is None else _details(run.details),
        **{name: getattr(run, name) for name in _SAME},
    )


def _details(details: RunDetails) -> messages.RunDetails:
    return messages.RunDetails(
        query=details.query,
        query_hash=details.query_hash,
        documents=[
            messages.LoggedDocument(**{name: getattr(each, name) for name in _DOCUMENT})
            for each in (*details.documents, *details.blank_documents)
        ],
        results=[
            messages.LoggedResult(index=each.index, relevance_score=each.relevance_score) for each in details.results
        ],
        parameters=details.parameters,
        requested_model=details.requested_model,
        stages=[
            messages.RunStage(
                stage=each.stage,
                model=each.model,
                documents=each.documents,
                latency_ms=each.latency_ms,
                status=each.status.value,
                reason=each.reason or "",
            )
            for each in details.stages
        ],
        attempts=[
            messages.RunAttempt(**dict(zip(_ATTEMPT, structs.astuple(each), strict=True))) for each in details.attempts
        ],
        events=details.events,
        usage=None if details.usage is None else _usage(details.usage),
        warnings=details.warnings,
        provider=details.provider,
        deployment=details.deployment,
        score_space=details.score_space,
        query_image=details.query_image,
        left_out=dict(details.left_out.items()),
    )


def _usage(usage: Usage) -> messages.RunUsage:
    return messages.RunUsage(
        documents=usage.documents,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        search_units=usage.search_units,
        cached_documents=usage.cached_documents,
        cost_usd=usage.cost,
        saved_cost_usd=usage.saved_cost,
    )
