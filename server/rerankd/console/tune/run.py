"""Runs `rerankd tune` and prints what it found."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import yaml

from rerankd.console.errors import OK, USAGE, CommandError
from rerankd.console.rendering import make_console, make_table, print_json
from rerankd.console.tune.judged_queries import read_judged_queries
from rerankd.console.tune.member_scores import Answered, score_queries
from rerankd.console.tune.plan import TunedFusion, TunePlan, subject_of
from rerankd.console.tune.weight_search import Evaluation, Weights, cross_validate, search
from rerankd.contract.wording import counted
from rerankd.evaluation.measures.intervals import Interval, bootstrap
from rerankd.evaluation.measures.ranking import ndcg

_LEAST_QUERIES: Final = 10
_ENOUGH_QUERIES: Final = 40


@dataclass(frozen=True, slots=True)
class Tuned:
    """What was found."""

    queries: int
    """Judged queries with a relevant document."""
    skipped: int
    """Queries without one, which say nothing."""
    members: Mapping[str, Interval]
    """NDCG@10 of each member alone, by name."""
    before: Interval
    """NDCG@10 of the present weights."""
    after: Interval
    """NDCG@10 of learnt weights, each query by weights learnt without it."""
    gain: Interval
    """After minus before, by query."""
    weights: Sequence[float]
    """Learnt from all queries; one a member, their sum 1."""

    @property
    def is_clear(self) -> bool:
        """Whether the gain is beyond noise."""
        return self.gain.low > 0


def run_tuning(plan: TunePlan, *, is_json: bool) -> int:
    """Tune, and print the result.

    Raises:
        CommandError: The file, the settings or a member is at fault.
    """
    subject = subject_of(plan)
    queries = read_judged_queries(plan.judged)
    useful = [query for query in queries if any(query.grades)]
    if len(useful) < _LEAST_QUERIES:
        found = f"{counted(len(useful), 'judged query', 'judged queries')} with a relevant document"
        raise CommandError(f"{found}: too few to learn from", f"give {_LEAST_QUERIES} or more, better 40", USAGE)
    tuned = _tune(subject, score_queries(subject, useful, plan.concurrency), len(queries) - len(useful))
    snippet = _snippet(subject, tuned.weights)
    if is_json:
        print_json({**msgspec.to_builtins(tuned), "is_clear": tuned.is_clear, "rerankers": snippet["rerankers"]})
        return OK
    _print_report(tuned)
    print(yaml.safe_dump(snippet, sort_keys=False, allow_unicode=True), end="")
    return OK


def _tune(subject: TunedFusion, answered: Sequence[Answered], skipped: int) -> Tuned:
    members, count = subject.config.members, len(answered)
    evaluation = Evaluation([each.query for each in answered])
    starts = [*_present(answered), [1.0] * len(members)]
    before = [_ndcg(each) for each in answered]
    after = cross_validate(evaluation, count, starts)
    alone = {
        member.name or member.model: bootstrap(evaluation.ndcg([float(other is member) for other in members]))
        for member in members
    }
    return Tuned(
        queries=count,
        skipped=skipped,
        members=alone,
        before=bootstrap(before),
        after=bootstrap(after),
        gain=bootstrap([new - old for new, old in zip(after, before, strict=True)]),
        weights=_shares(search(evaluation, range(count), starts)),
    )


def _ndcg(answered: Answered) -> float:
    grades = answered.query.grades
    return ndcg([grades[position] for position in answered.order], grades) or 0.0


def _present(answered: Sequence[Answered]) -> list[Sequence[float]]:
    """Return the weights that the fusion has now, as far as one query shows all of them."""
    return [each.weights for each in answered if all(each.weights)][:1]


def _shares(weights: Weights) -> list[float]:
    return [round(weight / sum(weights), 4) for weight in weights]


def _snippet(subject: TunedFusion, weights: Sequence[float]) -> dict[str, Any]:
    """Return the settings of the fusion with the learnt weights; values at their defaults are left out."""
    config = msgspec.to_builtins(subject.config)
    defaults = msgspec.to_builtins(type(subject.config)(members=[]))
    kept = {name: value for name, value in config.items() if name != "members" and value != defaults[name]}
    members = []
    for member, weight in zip(config["members"], weights, strict=True):
        options = {name: value for name, value in member.items() if value and name not in ("model", "weight")}
        members.append({"model": member["model"], "weight": weight, **options})
    config = {**kept, "members": members}
    return {"rerankers": {subject.key: {"strategy": "fusion", "config": config}}}


def _print_report(tuned: Tuned) -> None:
    """Print on standard error, so that standard output has the settings alone."""
    console = make_console(is_error=True)
    table = make_table("", "NDCG@10", "95 % interval")
    rows = {
        **tuned.members,
        "before: present weights": tuned.before,
        "after: learnt weights, cross-validated": tuned.after,
        "gain": tuned.gain,
    }
    for name, value in rows.items():
        sign = "+" if name == "gain" else ""
        table.add_row(name, f"{value.mean:{sign}.4f}", f"{value.low:{sign}.4f} to {value.high:{sign}.4f}")
    console.print(table)
    print(counted(tuned.queries, "query", "queries"), file=sys.stderr)
    if tuned.skipped:
        skipped = counted(tuned.skipped, "query", "queries")
        print(f"{skipped} without a relevant document left aside", file=sys.stderr)
    if tuned.queries < _ENOUGH_QUERIES:
        print(f"fewer than {_ENOUGH_QUERIES} queries: the weights are uncertain", file=sys.stderr)
    if not tuned.is_clear:
        print("the gain is within noise: the present weights are as good as these", file=sys.stderr)
