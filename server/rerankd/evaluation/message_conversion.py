"""Judgements and experiments as messages of the contract."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rerankd.contract import evaluation_messages as messages
from rerankd.evaluation.experiment import Consumption, Experiment, ExperimentQuery, ExperimentSummary, Side
from rerankd.evaluation.judgements.judgement import Judgement
from rerankd.evaluation.measures.comparison import Pair, QueryComparison
from rerankd.evaluation.measures.intervals import Interval
from rerankd.evaluation.measures.summary import Difference


def judgement_message(judgement: Judgement) -> messages.Judgement:
    """Return a judgement's message."""
    subject = judgement.subject
    source = messages.JudgementSource
    return messages.Judgement(
        query=subject.query,
        query_hash=subject.query_hash,
        document_id=subject.document_id,
        document_hash=subject.content_hash,
        grade=judgement.grade,
        source=source.UNSPECIFIED if judgement.source is None else source(judgement.source.value),
        clicks=judgement.clicks,
        updated_at=_time(judgement.updated_at),
    )


def experiment_message(experiment: Experiment, now: float) -> messages.Experiment:
    """Return an experiment's message.

    Args:
        experiment: An experiment.
        now: Seconds since 1970.
    """
    return messages.Experiment(
        id=experiment.experiment_id,
        name=experiment.name,
        candidate=experiment.candidate,
        baseline=list(experiment.baseline),
        runs=selection_message(experiment.filter),
        depth=experiment.depth,
        concurrency=experiment.concurrency,
        state=messages.ExperimentState(experiment.state_at(now).value),
        total=experiment.queries,
        ended=experiment.ended,
        created_at=_time(experiment.created_at),
        created_by=experiment.created_by,
        ended_at=_time(experiment.ended_at),
        summary=None if experiment.summary is None else summary_message(experiment.summary),
    )


def selection_message(chosen: Mapping[str, Any]) -> messages.RunSelection:
    """Return the message of a stored filter."""
    times = {name: _time(chosen.get(name)) for name in ("from_time", "to_time")}
    return messages.RunSelection(**{**chosen, **times})


def query_message(query: ExperimentQuery, *, has_run: bool) -> messages.ExperimentQuery:
    """Return a compared query's message.

    Args:
        query: The query.
        has_run: Whether its run is still in the log.
    """
    return messages.ExperimentQuery(
        run_id=query.run_id,
        query=query.query,
        run_deleted=not has_run,
        comparison=None if query.comparison is None else comparison_message(query.comparison),
        before=None if query.before is None else figures_message(query.before),
        after=None if query.after is None else figures_message(query.after),
    )


def comparison_message(comparison: QueryComparison) -> messages.RankingComparison:
    """Return the message of two compared rankings."""
    return messages.RankingComparison(
        kendall_tau=comparison.kendall_tau,
        overlap=comparison.overlap,
        ndcg=_pair(comparison.ndcg),
        reciprocal_rank=_pair(comparison.reciprocal_rank),
        clicked_rank=_pair(comparison.clicked_rank),
        changes=[
            messages.RankChange(index=each.index, before=each.before, after=each.after, grade=each.grade)
            for each in comparison.changes
        ],
        changed=comparison.changed,
        judged=comparison.judged,
    )


def figures_message(side: Side) -> messages.CallFigures:
    """Return the message of what a call took."""
    return messages.CallFigures(
        model=side.model,
        latency_ms=side.latency_ms,
        cost_usd=side.cost_usd,
        cached_documents=side.cached_documents,
    )


def summary_message(summary: ExperimentSummary) -> messages.ExperimentSummary:
    """Return the message of what an experiment found."""
    measures = summary.measures
    reasons = sorted(summary.reasons.items(), key=lambda each: (-each[1], each[0]))
    return messages.ExperimentSummary(
        queries=measures.queries,
        reordered=measures.reordered,
        ndcg=_difference(measures.ndcg),
        reciprocal_rank=_difference(measures.reciprocal_rank),
        clicked_rank=_difference(measures.clicked_rank),
        kendall_tau=_interval(measures.kendall_tau),
        overlap=_interval(measures.overlap),
        judged=measures.judged,
        before=_consumption(summary.before),
        after=_consumption(summary.after),
        failed=summary.failed,
        skipped=summary.skipped,
        reasons=[messages.ReasonCount(reason=reason, queries=count) for reason, count in reasons],
    )


def _pair(pair: Pair | None) -> messages.MeasuredPair | None:
    return None if pair is None else messages.MeasuredPair(before=pair.before, after=pair.after)


def _interval(interval: Interval | None) -> messages.ConfidenceInterval | None:
    if interval is None:
        return None
    return messages.ConfidenceInterval(mean=interval.mean, low=interval.low, high=interval.high)


def _difference(found: Difference | None) -> messages.MeasuredDifference | None:
    if found is None:
        return None
    return messages.MeasuredDifference(
        queries=found.queries,
        before=found.before,
        after=found.after,
        difference=_interval(found.difference),
        improved=found.improved,
        worsened=found.worsened,
    )


def _consumption(found: Consumption) -> messages.ConsumptionFigures:
    return messages.ConsumptionFigures(
        latency_mean_ms=found.latency_mean_ms,
        latency_p95_ms=found.latency_p95_ms,
        cost_usd=found.cost_usd,
        cached_documents=found.cached_documents,
    )


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
