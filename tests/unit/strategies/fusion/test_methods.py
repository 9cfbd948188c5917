from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerankd.strategies.fusion.methods import (
    MemberScores,
    Method,
    competition_ranks,
    fuse,
    scale_by_distribution,
    scale_to_unit,
)

ORACLE: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[3] / "oracles" / "ranx_fusion.json").read_text(encoding="utf-8")
)
"""What ranx fuses random rankings to; tests/oracles/test_ranx.py checks it against ranx itself."""
ORACLE_CALLS = [(case, name) for case in ORACLE for name in case["fused"]]
ORACLE_NAMES = [f"{name}-{n}" for n, (_, name) in enumerate(ORACLE_CALLS)]
scores = st.floats(allow_nan=False, allow_infinity=False)
moderate = st.floats(-1e6, 1e6)


def complete(*lists: Sequence[float], minimum: float | None = None) -> list[MemberScores]:
    """Make members that scored every document."""
    return [MemberScores(range(len(each)), each, minimum) for each in lists]


def order(values: Sequence[float]) -> list[int]:
    return sorted(range(len(values)), key=lambda position: (-values[position], position))


@st.composite
def member_lists(draw: st.DrawFn, values: st.SearchStrategy[float] = scores) -> list[list[float]]:
    """Draw the scores of 1 to 4 members for the same 1 to 12 documents."""
    count = draw(st.integers(1, 12))
    return draw(st.lists(st.lists(values, min_size=count, max_size=count), min_size=1, max_size=4))


@pytest.mark.parametrize(
    ("case", "name"), ORACLE_CALLS, ids=[f"{name}-{n}" for n, (_, name) in enumerate(ORACLE_CALLS)]
)
def test_ranx_fuses_to_the_same(case: dict[str, Any], name: str) -> None:
    members = [MemberScores(each["positions"], each["scores"]) for each in case["members"]]
    method, _, constant = name.partition(" k=")
    weighted = method in ("weighted", "z-score", "rank")
    weights = [each["weight"] if weighted else 1 for each in case["members"]]

    found = fuse(members, weights, case["documents"], Method(method), rrf_k=float(constant or 60))

    # Ours is a mean where ranx has a sum, and a share of members where it has their number.
    factor = sum(weights) * (len(members) if method in ("isr", "combmnz") else 1)
    assert [score * factor for score in found.scores] == pytest.approx(case["fused"][name], rel=1e-9, abs=1e-9)


def test_rrf_counts_ranks_from_one() -> None:
    fused = fuse(complete([0.9, 0.5, 0.1], [10.0, 30.0, 20.0]), [1, 1], 3, Method.RRF)

    assert fused.scores == pytest.approx([(1 / 61 + 1 / 63) / 2, (1 / 62 + 1 / 61) / 2, (1 / 63 + 1 / 62) / 2])
    assert fused.parts[1].ranks == [3, 1, 2]


def test_weighted_starts_at_the_lowest_possible_score() -> None:
    cosines = MemberScores(range(3), [0.8, 0.6, 0.2], -1.0)
    counts = MemberScores(range(3), [0.0, 5.0, 10.0], 0.0)

    fused = fuse([cosines, counts], [3, 1], 3, Method.WEIGHTED)

    assert fused.parts[0].normalised == pytest.approx([1.0, 1.6 / 1.8, 1.2 / 1.8])
    assert fused.parts[1].normalised == pytest.approx([0.0, 0.5, 1.0])
    assert fused.parts[0].contributions == pytest.approx([0.75, 0.75 * 1.6 / 1.8, 0.75 * 1.2 / 1.8])
    assert fused.scores == pytest.approx([0.75, 0.75 * 1.6 / 1.8 + 0.125, 0.75 * 1.2 / 1.8 + 0.25])


def test_a_score_below_the_stated_minimum_keeps_its_order() -> None:
    fused = fuse(complete([-3.0, -2.0, -1.0], minimum=0.0), [1], 3, Method.WEIGHTED)
    assert fused.scores == pytest.approx([0.0, 0.5, 1.0])


def test_dbsf_clamps_at_three_sample_deviations() -> None:
    values = [0.0] * 20 + [1.0]
    mean, sigma = 1 / 21, math.sqrt((20 * (1 / 21) ** 2 + (20 / 21) ** 2) / 20)

    fused = fuse(complete(values), [1], 21, Method.DBSF)

    assert (1 - mean) / sigma > 3
    assert fused.scores[20] == 1.0
    assert fused.scores[0] == pytest.approx(0.5 - mean / (6 * sigma))


def test_equal_scores_share_the_best_rank() -> None:
    assert competition_ranks([5.0, 7.0, 5.0, 1.0]) == [2, 1, 2, 4]


@pytest.mark.parametrize("method", Method)
def test_a_member_that_returned_its_best_only_puts_the_others_last(method: Method) -> None:
    fused = fuse([MemberScores([3, 1], [0.9, 0.4])], [1], 4, method)

    assert fused.parts[0].ranks == [0, 2, 0, 1]
    assert order(fused.scores)[0] == 3
    assert fused.scores[0] == fused.scores[2] == min(fused.scores)


@pytest.mark.parametrize("method", Method)
def test_a_member_that_returned_one_document_moves_it_up(method: Method) -> None:
    fused = fuse([MemberScores([2], [0.9]), *complete([0.1, 0.1, 0.1])], [1, 1], 3, method)
    assert order(fused.scores) == [2, 0, 1]


@pytest.mark.parametrize("method", Method)
def test_a_member_without_results_adds_nothing(method: Method) -> None:
    fused = fuse([MemberScores([], []), *complete([0.1, 0.7])], [1, 1], 2, method)

    assert fused.parts[0].contributions == [0.0, 0.0]
    assert order(fused.scores) == [1, 0]


@pytest.mark.parametrize("method", Method)
@given(lists=member_lists(), value=scores)
def test_equal_scores_add_nothing(method: Method, lists: list[list[float]], value: float) -> None:
    count = len(lists[0])
    alone = fuse(complete(*lists), [1] * len(lists), count, method)
    beside = fuse(complete(*lists, [value] * count), [1] * (len(lists) + 1), count, method)

    assert beside.parts[-1].contributions == [0.0] * count
    assert alone.scores == beside.scores


@pytest.mark.parametrize("method", Method)
@given(lists=member_lists(), data=st.data())
def test_order_of_members_changes_nothing(method: Method, lists: list[list[float]], data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.floats(0.01, 100), min_size=len(lists), max_size=len(lists)))
    members, count = complete(*lists), len(lists[0])
    shuffled = data.draw(st.permutations(range(len(lists))))

    one = fuse(members, weights, count, method)
    two = fuse([members[n] for n in shuffled], [weights[n] for n in shuffled], count, method)

    assert one.scores == two.scores


@pytest.mark.parametrize("method", Method)
@given(lists=member_lists(moderate), data=st.data())
def test_order_of_documents_changes_nothing(method: Method, lists: list[list[float]], data: st.DataObject) -> None:
    count = len(lists[0])
    shuffled = data.draw(st.permutations(range(count)))

    one = fuse(complete(*lists), [1] * len(lists), count, method).scores
    two = fuse(complete(*[[each[n] for n in shuffled] for each in lists]), [1] * len(lists), count, method).scores

    assert [one[n] for n in shuffled] == two


@pytest.mark.parametrize("method", [method for method in Method if method.uses_ranks])
@given(lists=member_lists(st.integers(-1000, 1000).map(float)), data=st.data())
def test_rank_methods_know_order_only(method: Method, lists: list[list[float]], data: st.DataObject) -> None:
    changed = data.draw(st.integers(0, len(lists) - 1))
    monotone = [*lists]
    monotone[changed] = [math.atan(score / 100) * 7 + 3 for score in lists[changed]]
    count = len(lists[0])

    one, two = (fuse(complete(*each), [1] * len(lists), count, method) for each in (lists, monotone))

    assert one.scores == two.scores


@pytest.mark.parametrize("method", Method)
@given(lists=member_lists(), minimum=st.none() | scores)
def test_scores_are_finite_and_explained(method: Method, lists: list[list[float]], minimum: float | None) -> None:
    fused = fuse(complete(*lists, minimum=minimum), [1] * len(lists), len(lists[0]), method)

    assert all(map(math.isfinite, fused.scores))
    assert method is Method.Z_SCORE or all(0.0 <= score <= 1 + 1e-12 for score in fused.scores)
    for position, score in enumerate(fused.scores):
        assert score == math.fsum(part.contributions[position] for part in fused.parts)


@given(st.lists(scores, min_size=2, max_size=20).filter(lambda values: len(set(values)) > 1))
def test_scales_reach_from_nought_to_one(values: list[float]) -> None:
    unit, spread = scale_to_unit(values), scale_by_distribution(values)

    assert (min(unit), max(unit)) == (0.0, 1.0)
    assert min(spread) >= 0.0
    assert max(spread) <= 1.0
    assert spread[values.index(min(values))] < 0.5 < spread[values.index(max(values))]
