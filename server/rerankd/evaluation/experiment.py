"""An experiment: logged runs, run again with another model and compared. Nothing changes one that has ended."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec

from rerankd.evaluation.measures.comparison import QueryComparison
from rerankd.evaluation.measures.summary import Summary

STALE_S: Final = 30.0
"""Seconds without a sign of life after which a running experiment has been interrupted."""


class State(StrEnum):
    """Where an experiment stands."""

    RUNNING = "running"
    INTERRUPTED = "interrupted"
    """The process that ran it has gone; it can be resumed. Never stored."""
    DONE = "done"
    CANCELLED = "cancelled"


class QueryState(StrEnum):
    """What became of one run."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"
    """The candidate failed."""
    SKIPPED = "skipped"
    """The run cannot be replayed."""


class Consumption(msgspec.Struct, frozen=True):
    """What the compared calls of one side took."""

    latency_mean_ms: float = 0.0
    latency_p95_ms: float = 0.0
    cost_usd: float | None = None
    """Of all calls; `None` where the cost of one is not known."""
    cached_documents: int = 0
    """Documents whose scores were known before."""


class ExperimentSummary(msgspec.Struct, frozen=True):
    """What an experiment found."""

    measures: Summary
    before: Consumption
    """Of the logged runs; their latency is that of their time."""
    after: Consumption
    failed: int
    """Runs at which the candidate failed."""
    skipped: int
    """Runs that could not be replayed."""
    reasons: Mapping[str, int]
    """How many failed or were skipped, by `ErrorReason`."""


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment, without its queries."""

    experiment_id: str
    name: str
    """What people call it; may be empty."""
    candidate: str
    """Model or reranker that the runs were sent to; empty: each run's own."""
    baseline: Sequence[str]
    """Models that had answered the runs, the most frequent first."""
    filter: Mapping[str, Any]
    """Which runs were chosen, as the request said."""
    depth: int
    """Ranks that count."""
    concurrency: int
    """Calls under way at once."""
    state: State
    queries: int
    """Runs that were chosen."""
    ended: int = 0
    """Of these, replayed, failed or skipped by now."""
    created_at: float
    """Seconds since 1970."""
    created_by: str
    """Identity of the caller."""
    ended_at: float | None = None
    seen_at: float
    """Last sign of life of the process that runs it, seconds since 1970."""
    summary: ExperimentSummary | None = None
    """`None` until it has ended."""

    def state_at(self, now: float) -> State:
        """Return the state at a time: an experiment that runs nowhere has been interrupted."""
        if self.state is State.RUNNING and now - self.seen_at > STALE_S:
            return State.INTERRUPTED
        return self.state


class Side(msgspec.Struct, frozen=True):
    """One call of a compared query."""

    model: str = ""
    latency_ms: float = 0.0
    cost_usd: float | None = None
    cached_documents: int = 0


class ExperimentQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One run of an experiment."""

    position: int
    """From 0, in the order in which the runs were chosen."""
    run_id: str
    """The run that is replayed."""
    state: QueryState = QueryState.PENDING
    query: str = ""
    """The beginning of the query, as the run log has it."""
    before: Side | None = None
    after: Side | None = None
    comparison: QueryComparison | None = None
    """Set once done."""
    reason: str = ""
    """`ErrorReason` of a failed or skipped query."""
    message: str = ""
    """Why it failed or was skipped."""


def new_experiment_id() -> str:
    """Make an id."""
    return f"exp_{secrets.token_hex(8)}"
