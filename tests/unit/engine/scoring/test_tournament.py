import asyncio
import math
import random
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerankd.engine.scoring.request_scoring import order_by_score
from rerankd.engine.scoring.tournament import (
    Rules,
    TournamentRanking,
    WindowRanker,
    distribute,
    mean_rank,
    plan_windows,
    rank_listwise,
)


class Model:
    """Ranks by a table, and records its calls and how many were under way at once."""

    def __init__(self, worth: Sequence[float]) -> None:
        self.worth = worth
        self.windows: list[list[int]] = []
        self.rounds: list[int] = []
        self._under_way = 0

    async def __call__(self, window: Sequence[int]) -> list[int]:
        self.windows.append(list(window))
        if not self._under_way:
            self.rounds.append(0)
        self.rounds[-1] += 1
        self._under_way += 1
        await asyncio.sleep(0)
        self._under_way -= 1
        return order_by_score(window, [self.worth[position] for position in window])


def rank(count: int, rules: Rules, ranker: WindowRanker, seed: int | None = None) -> TournamentRanking:
    draw = None if seed is None else random.Random(seed)
    return asyncio.run(rank_listwise(count, rules, ranker, draw))


unhurried = settings(max_examples=60)


@unhurried
@given(
    st.integers(1, 150),
    st.integers(2, 40),
    st.none() | st.integers(1, 3),
    st.none() | st.integers(1, 9),
    st.sampled_from([None, 1, 2]),
    st.data(),
)
def test_every_document_once_and_the_first_ones_as_in_one_call(
    count: int, window: int, seed: int | None, keep: int | None, readings: int | None, data: st.DataObject
) -> None:
    worth = data.draw(st.lists(st.integers(-5, 5) | st.floats(-9, 9), min_size=count, max_size=count))
    model, rules = Model(worth), Rules(window, keep=keep, readings=readings)
    ranking = rank(count, rules, model, seed)
    assert sorted(ranking.order) == list(range(count))
    one_call = sorted(range(count), key=lambda position: (-worth[position], position))
    least = min(max(window // 5, 4), math.ceil(window / 3)) if keep is None else keep
    sure = count if count <= window else min(least, window // 2)
    assert [worth[position] for position in ranking.order[:sure]] == [worth[position] for position in one_call[:sure]]
    assert all(2 <= len(each) <= window or count == 1 for each in model.windows)
    scores = ranking.scores()
    assert all(before > after for before, after in pairwise(scores))
    assert (scores[0], scores[-1]) == (1.0, 1 / count)
    assert tuple(model.rounds) == plan_windows(count, rules).rounds
    if plan_windows(count, rules).rounds[-1:] == (2,):
        *_, first, second = model.windows
        assert first == second[::-1]


@unhurried
@given(st.integers(1, 150), st.integers(2, 40), st.randoms(use_true_random=False))
def test_whatever_a_model_says_no_document_is_lost(count: int, window: int, draw: random.Random) -> None:
    said: dict[tuple[int, ...], list[int]] = {}

    async def ranker(asked: Sequence[int]) -> list[int]:
        return said.setdefault(tuple(asked), draw.sample(list(asked), len(asked)))

    ranking = rank(count, Rules(window), ranker)
    assert sorted(ranking.order) == list(range(count))
    assert rank(count, Rules(window), ranker) == ranking


@pytest.mark.parametrize(("count", "window"), [(1, 2), (7, 2), (100, 20), (101, 20), (41, 20), (1000, 64)])
def test_equal_scores_keep_the_order_of_the_request(count: int, window: int) -> None:
    assert list(rank(count, Rules(window), Model([0.5] * count)).order) == list(range(count))


@pytest.mark.parametrize(
    ("count", "rules", "rounds"),
    [
        (1, Rules(20), ()),
        (20, Rules(20), (1,)),
        (20, Rules(20, readings=2), (2,)),
        (21, Rules(20), (2, 1)),
        (40, Rules(20, readings=2), (2, 2)),
        (60, Rules(20), (3, 2)),
        (100, Rules(20), (5, 2)),
        (100, Rules(20, top_n=20), (5, 2, 2)),
        (200, Rules(20), (10, 2, 2)),
        (200, Rules(64), (4, 2)),
        (3, Rules(2), (1, 1)),
        (1000, Rules(20), (50, 10, 2, 2)),
        (10_000, Rules(64), (157, 30, 6, 2, 2)),
    ],
)
def test_calls_are_known_beforehand(count: int, rules: Rules, rounds: tuple[int, ...]) -> None:
    plan = plan_windows(count, rules)
    assert plan.rounds == rounds
    assert plan.calls == sum(rounds)


@given(st.integers(1, 20_000), st.integers(2, 300), st.none() | st.integers(1, 1000), st.none() | st.integers(1, 400))
def test_rounds_are_few(count: int, window: int, top_n: int | None, keep: int | None) -> None:
    plan = plan_windows(count, Rules(window, top_n=top_n, keep=keep))
    assert plan.calls <= 3 * count / window + 20 if window > 3 else plan.calls <= 3 * count + 1
    assert len(plan.rounds) <= 2 + count.bit_length()


@given(st.integers(1, 20_000), st.integers(2, 300))
def test_calls_are_no_more_than_by_halving(count: int, window: int) -> None:
    halving = Rules(window, keep=window // 2, readings=1)
    assert plan_windows(count, Rules(window)).calls <= plan_windows(count, halving).calls


@given(st.integers(1, 150), st.integers(1, 40), st.randoms(use_true_random=False))
def test_windows_are_fair_samples(count: int, window: int, draw: random.Random) -> None:
    windows = distribute(range(count), math.ceil(count / window), draw)
    assert sorted(position for each in windows for position in each) == list(range(count))
    assert max(map(len, windows)) - min(map(len, windows)) <= 1
    assert max(map(len, windows)) <= window
    assert all(place == position // len(windows) for each in windows for place, position in enumerate(each))


def test_two_readings_are_merged_by_mean_rank() -> None:
    assert mean_rank([4, 7, 9], [[7, 4, 9], [9, 7, 4]]) == [7, 9, 4]
    assert mean_rank([4, 7], [[7, 4], [4, 7]]) == [4, 7]


@pytest.mark.parametrize(
    ("second", "expected"), [([1, 2, 3], 0.0), ([3, 2, 1], 1.0), ([2, 1, 3], 1 / 3), ([3, 1, 2], 2 / 3)]
)
def test_disagreement_is_the_share_of_pairs_of_both_readings(second: list[int], expected: float) -> None:
    assert TournamentRanking([], [[1, 2, 3], second]).disagreement == pytest.approx(expected)


async def test_a_ranking_tells_how_much_its_readings_differ() -> None:
    async def as_read(window: Sequence[int]) -> Sequence[int]:
        return window

    assert (await rank_listwise(5, Rules(20, readings=2), as_read)).disagreement == 1.0
    assert (await rank_listwise(5, Rules(20), as_read)).disagreement is None
    assert (await rank_listwise(5, Rules(20, readings=2), Model([5, 4, 3, 2, 1]))).disagreement == 0.0


async def test_one_failed_call_fails_the_ranking_and_cancels_its_round() -> None:
    cancelled = []
    everyone_started = asyncio.Event()
    started = []

    async def ranker(window: Sequence[int]) -> list[int]:
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
        await rank_listwise(9, Rules(3), ranker)
    assert sorted(cancelled) == [1, 2]


async def test_cancelling_the_ranking_cancels_its_calls() -> None:
    cancelled = 0
    under_way = asyncio.Event()

    async def ranker(window: Sequence[int]) -> list[int]:
        nonlocal cancelled
        under_way.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled += 1
            raise
        return []

    ranking = asyncio.create_task(rank_listwise(9, Rules(3), ranker))
    await under_way.wait()
    await asyncio.sleep(0)
    ranking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ranking
    assert cancelled == 3


async def test_documents_that_were_left_out_are_a_fault() -> None:
    async def ranker(window: Sequence[int]) -> Sequence[int]:
        return window[:1]

    with pytest.raises(ValueError, match="1 documents ranked of 2"):
        await rank_listwise(2, Rules(2), ranker)


async def test_numbers_that_make_no_sense_are_refused() -> None:
    for window, readings in [(1, 1), (0, 1), (5, 3), (5, 0)]:
        with pytest.raises(ValueError, match="must be at least"):
            Rules(window, readings=readings)
    with pytest.raises(ValueError, match="must be at least"):
        plan_windows(0, Rules(2))
    with pytest.raises(ValueError, match="must be at least"):
        await rank_listwise(0, Rules(2), Model([]))
