import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerankd.engine.scoring.tournament import TournamentRanking, WindowScorer, plan_windows, rank_listwise


class Model:
    """Scores by a table, and records its calls and how many were under way at once."""

    def __init__(self, worth: Sequence[float]) -> None:
        self.worth = worth
        self.windows: list[list[int]] = []
        self.rounds: list[int] = []
        self._under_way = 0

    async def __call__(self, window: Sequence[int]) -> list[float]:
        self.windows.append(list(window))
        if not self._under_way:
            self.rounds.append(0)
        self.rounds[-1] += 1
        self._under_way += 1
        await asyncio.sleep(0)
        self._under_way -= 1
        return [self.worth[position] for position in window]


def rank(count: int, window: int, score: WindowScorer, top_n: int | None = None) -> TournamentRanking:
    return asyncio.run(rank_listwise(count, window, score, top_n))


unhurried = settings(deadline=None, max_examples=60)


@unhurried
@given(st.integers(1, 150), st.integers(2, 40), st.data())
def test_every_document_once_and_the_first_half_window_as_in_one_call(
    count: int, window: int, data: st.DataObject
) -> None:
    worth = data.draw(st.lists(st.integers(-5, 5) | st.floats(-9, 9), min_size=count, max_size=count))
    model = Model(worth)
    ranking = rank(count, window, model)
    assert sorted(ranking.order) == list(range(count))
    one_call = sorted(range(count), key=lambda position: (-worth[position], position))
    sure = count if count <= window else window // 2
    assert [worth[position] for position in ranking.order[:sure]] == [worth[position] for position in one_call[:sure]]
    assert all(2 <= len(each) <= window or count == 1 for each in model.windows)
    assert all(before > after for before, after in pairwise(ranking.scores))
    assert ranking.scores[0] == 1.0
    assert ranking.scores[-1] == 1 / count
    assert tuple(model.rounds) == plan_windows(count, window).rounds


@unhurried
@given(st.integers(1, 150), st.integers(2, 40), st.integers(1, 200), st.randoms(use_true_random=False))
def test_whatever_a_model_says_no_document_is_lost(count: int, window: int, top_n: int, draw: object) -> None:
    said: dict[tuple[int, ...], list[float]] = {}

    async def score(asked: Sequence[int]) -> list[float]:
        values = [draw.choice([0.0, -0.0, 1e308, -1e308, 5e-324, draw.random()]) for _ in asked]  # type: ignore[attr-defined]
        return said.setdefault(tuple(asked), values)

    ranking = rank(count, window, score)
    assert sorted(ranking.order) == list(range(count))
    assert rank(count, window, score) == ranking
    cut = rank(count, window, score, top_n)
    assert cut == TournamentRanking(ranking.order[:top_n], ranking.scores[:top_n])


@pytest.mark.parametrize(("count", "window"), [(1, 2), (7, 2), (100, 20), (101, 20), (41, 20), (1000, 64)])
def test_equal_scores_keep_the_order_of_the_request(count: int, window: int) -> None:
    assert list(rank(count, window, Model([0.5] * count)).order) == list(range(count))


@pytest.mark.parametrize(
    ("count", "window", "rounds"),
    [
        (1, 20, ()),
        (20, 20, (1,)),
        (21, 20, (2, 1)),
        (40, 20, (2, 1)),
        (100, 20, (5, 3, 2, 1)),
        (3, 2, (1, 1)),
        (1000, 20, (50, 25, 13, 7, 4, 2, 1)),
        (10_000, 64, (157, 79, 40, 20, 10, 5, 3, 2, 1)),
    ],
)
def test_calls_are_known_beforehand(count: int, window: int, rounds: tuple[int, ...]) -> None:
    plan = plan_windows(count, window)
    assert plan.rounds == rounds
    assert plan.calls == sum(rounds)


@given(st.integers(1, 20_000), st.integers(2, 300))
def test_rounds_are_few(count: int, window: int) -> None:
    plan = plan_windows(count, window)
    assert plan.calls <= 3 * count / window + 20 if window > 3 else plan.calls <= 3 * count
    assert len(plan.rounds) <= 2 + count.bit_length()


async def test_one_failed_call_fails_the_ranking_and_cancels_its_round() -> None:
    cancelled = []
    everyone_started = asyncio.Event()
    started = []

    async def score(window: Sequence[int]) -> list[float]:
        started.append(window[0])
        if len(started) == 3:
            everyone_started.set()
        await everyone_started.wait()
        if 0 in window:
            raise OSError("no")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(window[0])
            raise
        return []

    with pytest.raises(OSError, match="no"):
        await rank_listwise(9, 3, score)
    assert sorted(cancelled) == [1, 2]


async def test_cancelling_the_ranking_cancels_its_calls() -> None:
    cancelled = 0
    under_way = asyncio.Event()

    async def score(window: Sequence[int]) -> list[float]:
        nonlocal cancelled
        under_way.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled += 1
            raise
        return []

    ranking = asyncio.create_task(rank_listwise(9, 3, score))
    await under_way.wait()
    await asyncio.sleep(0)
    ranking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ranking
    assert cancelled == 3


async def test_scores_that_were_left_out_are_a_fault() -> None:
    async def score(_window: Sequence[int]) -> list[float]:
        return [1.0]

    with pytest.raises(ValueError, match="1 scores for 2 documents"):
        await rank_listwise(2, 2, score)


@pytest.mark.parametrize(("count", "window"), [(0, 5), (5, 1), (5, 0)])
async def test_numbers_that_make_no_sense_are_refused(count: int, window: int) -> None:
    with pytest.raises(ValueError, match="must be at least"):
        plan_windows(count, window)
    with pytest.raises(ValueError, match="must be at least"):
        await rank_listwise(count, window, Model([]))
