"""What an experiment found: measures, and what both sides took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rerankd.evaluation.experiment import Consumption, ExperimentQuery, ExperimentSummary, QueryState, Side
from rerankd.evaluation.measures.summary import summarise


async def summarise_experiment(queries: Sequence[ExperimentQuery], depth: int) -> ExperimentSummary:
    """Summarise the queries of an experiment, all of which have ended; yields the event loop every millisecond.

    Args:
        queries: n queries, n >= 0.
        depth: Ranks that they were compared at.
    """
    done = [query for query in queries if query.state is QueryState.DONE]
    states = Counter(query.state for query in queries)
    return ExperimentSummary(
        measures=await summarise([query.comparison for query in done if query.comparison is not None], depth),
        before=_consumption([query.before for query in done if query.before is not None]),
        after=_consumption([query.after for query in done if query.after is not None]),
        failed=states[QueryState.FAILED],
        skipped=states[QueryState.SKIPPED],
        reasons=Counter(query.reason for query in queries if query.reason),
    )


def _consumption(sides: Sequence[Side]) -> Consumption:
    if not sides:
        return Consumption()
    times_ms = sorted(side.latency_ms for side in sides)
    costs = [side.cost_usd for side in sides]
    known = [cost for cost in costs if cost is not None]
    return Consumption(
        latency_mean_ms=sum(times_ms) / len(times_ms),
        latency_p95_ms=times_ms[min(len(times_ms) - 1, len(times_ms) * 95 // 100)],
        cost_usd=sum(known) if len(known) == len(costs) else None,
        cached_documents=sum(side.cached_documents for side in sides),
    )
