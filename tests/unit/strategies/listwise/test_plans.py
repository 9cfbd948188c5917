"""Plans of llm-listwise: every document once, calls as planned, windows within bounds."""

import asyncio
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerankd.engine.scoring.tournament import Rules, TournamentRanking, WindowRanker
from rerankd.strategies.listwise.plans import Groups, JointRank, Plan, Sliding, TourRank


def plans(window: int) -> dict[str, Plan]:
    return {
        "groups": Groups(Rules(window, readings=2)),
        "sliding": Sliding(window),
        "jointrank": JointRank(window, 3),
        "tourrank": TourRank(window, 2),
    }


NAMES = list(plans(2))


class Model:
    """Orders by position, or in reverse, and keeps the windows and how many of them followed one another."""

    def __init__(self, *, reverse: bool = False) -> None:
        self.windows: list[list[int]] = []
        self.depth = self._under_way = 0
        self.reverse = reverse

    async def __call__(self, window: Sequence[int]) -> Sequence[int]:
        self.windows.append(list(window))
        self.depth += self._under_way == 0
        self._under_way += 1
        await asyncio.sleep(0)
        self._under_way -= 1
        return sorted(window, reverse=self.reverse)


def rank(plan: Plan, count: int, model: WindowRanker, seed: int = 1) -> TournamentRanking:
    return asyncio.run(plan.rank(count, model, random.Random(seed)))


@settings(max_examples=40)
@given(st.integers(1, 150), st.integers(2, 40), st.sampled_from(NAMES), st.booleans())
def test_every_document_once_and_calls_as_planned(count: int, window: int, name: str, reverse: bool) -> None:
    plan, model = plans(window)[name], Model(reverse=reverse)
    order = rank(plan, count, model).order
    assert sorted(order) == list(range(count))
    assert len(model.windows) == plan.calls(count)
    assert all(2 <= len(each) <= window for each in model.windows)
    assert all(len(set(each)) == len(each) for each in model.windows)


@pytest.mark.parametrize("name", NAMES)
def test_the_best_documents_come_first_and_dealing_is_repeatable(name: str) -> None:
    plan = plans(20)[name]
    assert set(rank(plan, 100, Model(reverse=True)).order[:4]) <= {*range(90, 100)}
    first, second = Model(), Model()
    assert rank(plan, 100, first) == rank(plan, 100, second)
    assert first.windows == second.windows


@pytest.mark.parametrize(
    ("plan", "calls", "depth"),
    [
        (Groups(Rules(20, readings=2)), 7, 2),
        (Groups(Rules(20, readings=1)), 6, 2),
        (Sliding(20), 9, 9),
        (JointRank(20, 4), 20, 1),
        (TourRank(20, 1), 13, 5),
        (TourRank(20, 2), 26, 5),
    ],
)
def test_calls_of_a_hundred_documents(plan: Plan, calls: int, depth: int) -> None:
    model = Model()
    rank(plan, 100, model)
    assert (plan.calls(100), len(model.windows), model.depth) == (calls, calls, depth)


@pytest.mark.parametrize("name", NAMES)
def test_a_failed_call_fails_the_ranking(name: str) -> None:
    async def fail(_: Sequence[int]) -> Sequence[int]:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        rank(plans(20)[name], 50, fail)
