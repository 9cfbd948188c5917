"""Prints experiments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct
from rich.text import Text

from rerank.v1 import evaluation_service_pb2 as pb
from rerankd.console.rendering import make_console, make_table
from rerankd.contract.wording import counted
from rerankd.rpc import evaluation_convert

_SHOWN_CHANGES: Final = 2
_SHOWN_CHARS: Final = 60


def facts_of(message: pb.Experiment | pb.ExperimentQuery) -> dict[str, Any]:
    """Return a message as the HTTP interface writes it."""
    if isinstance(message, pb.Experiment):
        return _json_of(evaluation_convert.experiment_from_proto(message))
    return _json_of(evaluation_convert.experiment_query_from_proto(message))


def print_experiments(experiments: Sequence[pb.Experiment]) -> None:
    """Print a table of experiments."""
    table = make_table("experiment", "begun", "name", "baseline", "candidate", "state", "queries", "NDCG", "95 %")
    table.columns[0].no_wrap = True  # an id that is cut is of no use
    for each in experiments:
        ndcg = each.summary.ndcg.difference if each.summary.HasField("ndcg") else None
        table.add_row(
            each.id,
            each.created_at.ToDatetime().isoformat(sep=" ", timespec="minutes"),
            Text(each.name),
            Text(", ".join(each.baseline)),
            Text(each.candidate or "as logged"),
            state_of(each),
            f"{each.ended}/{each.total}",
            "" if ndcg is None else f"{ndcg.mean:+.4f}",
            "" if ndcg is None else _interval(ndcg, "+"),
        )
    make_console().print(table)


def print_experiment(experiment: pb.Experiment, worst: Sequence[pb.ExperimentQuery]) -> None:
    """Print what an experiment found, and its worst queries."""
    console = make_console()
    found, candidate = experiment.summary, experiment.candidate or "the same models"
    console.print(Text(f"{experiment.id}: {', '.join(experiment.baseline)} -> {candidate}", style="bold"))
    if experiment.state != pb.EXPERIMENT_STATE_DONE:
        console.print(f"{state_of(experiment)}, {experiment.ended} of {counted(experiment.total, 'run')} replayed")
        return
    console.print(_counts(found))
    table = make_table("", "queries", "before", "after", "difference", "95 % interval", "better", "worse")
    for column in range(1, 8):
        table.columns[column].justify = "right"
    for name, measure in _measures(found, experiment.depth):
        difference = measure.difference
        style = "" if difference.low <= 0 <= difference.high else "green" if difference.low > 0 else "red"
        table.add_row(
            name,
            str(measure.queries),
            f"{measure.before:.4f}",
            f"{measure.after:.4f}",
            Text(f"{difference.mean:+.4f}", style=style),
            Text(_interval(difference, "+"), style=style),
            str(measure.improved),
            str(measure.worsened),
        )
    for name, mean in (("Kendall's tau", found.kendall_tau), (f"overlap@{experiment.depth}", found.overlap)):
        if found.queries and mean.ByteSize():
            table.add_row(name, "", "", f"{mean.mean:.4f}", "", _interval(mean, ""), "", "")
    for name, before, after in _consumption(found):
        table.add_row(name, "", before, after, "", "", "", "")
    console.print(table)
    for line in _remarks(found):
        console.print(line)
    if worst:
        _print_worst(worst)


def _json_of(value: Struct) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(value))
    return found


def state_of(experiment: pb.Experiment) -> str:
    """Return the name of an experiment's state."""
    return pb.ExperimentState.Name(experiment.state).removeprefix("EXPERIMENT_STATE_").lower()


def _counts(found: pb.ExperimentSummary) -> str:
    parts = [f"{counted(found.queries, 'query', 'queries')} compared, {found.reordered} in another order"]
    parts += [f"{found.failed} failed"] if found.failed else []
    parts += [f"{found.skipped} skipped"] if found.skipped else []
    reasons = ", ".join(f"{each.reason} {each.queries}" for each in found.reasons)
    return "; ".join(parts) + (f" ({reasons})" if reasons else "")


def _measures(found: pb.ExperimentSummary, depth: int) -> Iterator[tuple[str, pb.MeasuredDifference]]:
    named = (("NDCG", "ndcg"), ("MRR", "reciprocal_rank"), ("clicked MRR", "clicked_rank"))
    for name, field in named:
        if found.HasField(field):  # type: ignore[arg-type]  # a name that is no literal
            yield f"{name}@{depth}", getattr(found, field)


def _consumption(found: pb.ExperimentSummary) -> Iterator[tuple[str, str, str]]:
    before, after = found.before, found.after
    yield "ms, mean", f"{before.latency_mean_ms:,.1f}", f"{after.latency_mean_ms:,.1f}"
    yield "ms, 95 % within", f"{before.latency_p95_ms:,.1f}", f"{after.latency_p95_ms:,.1f}"
    if before.HasField("cost_usd") or after.HasField("cost_usd"):
        costs = [f"{side.cost_usd:.6f}" if side.HasField("cost_usd") else "unknown" for side in (before, after)]
        yield "US dollars", costs[0], costs[1]
    if before.cached_documents or after.cached_documents:
        yield "documents known before", f"{before.cached_documents:,}", f"{after.cached_documents:,}"


def _remarks(found: pb.ExperimentSummary) -> Iterator[str]:
    if not found.HasField("ndcg"):
        yield "no query was judged; import judgements with rerankd judgements import"
        return
    if found.ndcg.difference.low <= 0 <= found.ndcg.difference.high:
        yield "the difference of NDCG is within noise"
    if found.judged < 0.5:
        yield f"{found.judged:.0%} of the first documents after were judged; the others count as not relevant"


def _print_worst(worst: Sequence[pb.ExperimentQuery]) -> None:
    table = make_table("worst queries", "NDCG", "tau", "largest changes of rank", "run")
    for column, ratio in ((0, 3), (3, 2)):
        table.columns[column].no_wrap, table.columns[column].overflow = True, "ellipsis"
        table.columns[column].ratio = ratio
    table.columns[4].no_wrap = True
    for each in worst:
        ndcg = each.comparison.ndcg
        table.add_row(
            Text(" ".join(each.query.split())[:_SHOWN_CHARS]),
            f"{ndcg.before:.3f} -> {ndcg.after:.3f}" if each.comparison.HasField("ndcg") else "not judged",
            f"{each.comparison.kendall_tau:.2f}" if each.comparison.HasField("kendall_tau") else "",
            ", ".join(map(_change, _telling(each.comparison.changes))),
            "deleted" if each.run_deleted else each.run_id,
        )
    table.expand = True
    make_console().print(table)


def _telling(changes: Sequence[pb.RankChange]) -> list[pb.RankChange]:
    """Return the largest changes, those of relevant documents first."""
    return sorted(changes, key=lambda each: not each.grade)[:_SHOWN_CHANGES]


def _change(change: pb.RankChange) -> str:
    before = str(change.before) if change.HasField("before") else "-"
    after = str(change.after) if change.HasField("after") else "-"
    grade = f" ({change.grade})" if change.HasField("grade") else ""
    return f"{change.index}{grade}: {before} to {after}"


def _interval(interval: pb.ConfidenceInterval, sign: str) -> str:
    return f"{interval.low:{sign}.4f} to {interval.high:{sign}.4f}"
