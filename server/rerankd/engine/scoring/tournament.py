"""Ranking more documents with a listwise model than one call of it can hold.

Raw scores of two calls of a listwise model do not compare, so a tournament uses nothing of a call but its order.
In each round the documents that are left are dealt into windows, evenly and by their order so far, so that each
window is a fair sample. All windows of a round are called at once. Half a window's worth of the best of each goes
on; the others take the places behind. The last round is a single window.

If the model orders any documents as it would order all, the first half window of the ranking is exactly that of one
big call. `docs/decisions/0008-listwise-beyond-the-window.md` compares it with other ways.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

WindowScorer = Callable[[Sequence[int]], Awaitable[Sequence[float]]]
"""Scores documents in one call: their positions in the request, ascending in the order so far; returns a finite
number each, higher is better, comparable within the call."""


@dataclass(frozen=True, slots=True)
class TournamentRanking:
    """All documents of a request in order."""

    order: Sequence[int]
    """Positions in the request, best first: n, each once, or the first `top_n` of them."""
    scores: Sequence[float]
    """One for each of `order`: (n - place) / n, from 1 strictly down to 1 / n. A place, not a measure of relevance:
    they compare within this response only."""


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """The calls of a tournament."""

    rounds: Sequence[int]
    """Calls of each round; those of one round are made at once, the rounds one after the other."""

    @property
    def calls(self) -> int:
        """How many calls there are."""
        return sum(self.rounds)


def plan_windows(count: int, window: int) -> WindowPlan:
    """Return the calls that `rank_listwise` will make; a single document needs none.

    Args:
        count: Documents, at least 1.
        window: Documents one call can hold, at least 2.

    Raises:
        ValueError: A number is too low.
    """
    _check(count, window)
    rounds = []
    left = count
    while left > window:
        sizes = [len(dealt) for dealt in _deal(range(left), window)]
        rounds.append(sum(1 for size in sizes if size > 1))
        left = sum(min(size, window // 2) for size in sizes)
    return WindowPlan((*rounds, 1) if left > 1 else ())


async def rank_listwise(count: int, window: int, score: WindowScorer, top_n: int | None = None) -> TournamentRanking:
    """Rank documents with a model that can compare only `window` of them at a time.

    Deterministic: equal scores keep the order of the request. If a call fails, the others of its round are cancelled
    and its error is raised.

    Args:
        count: Documents, at least 1.
        window: Documents one call can hold, at least 2.
        score: Makes one call, which must score every document it is given.
        top_n: How many documents are returned; all of them when `None`.

    Raises:
        ValueError: A number is too low, or a call returned another number of scores than it was asked for.
        Exception: What `score` raised.
    """
    _check(count, window)
    left: list[int] = list(range(count))
    behind: list[list[int]] = []
    while len(left) > window:
        ordered = await _play(_deal(left, window), score)
        behind.append(_by_place([places[window // 2 :] for places in ordered]))
        left = _by_place([places[: window // 2] for places in ordered])
    (final,) = await _play([left], score)
    order = [*final, *(position for lost in reversed(behind) for position in lost)]
    return TournamentRanking(order[:top_n], [(count - place) / count for place in range(count)][:top_n])


def _check(count: int, window: int) -> None:
    if count < 1 or window < 2:
        raise ValueError(f"count must be at least 1 and window at least 2, not {count} and {window}")


def _deal(left: Sequence[int], window: int) -> list[Sequence[int]]:
    """Deal documents out like cards: sizes differ by one at most, and every window gets good and bad ones."""
    windows = math.ceil(len(left) / window)
    return [left[first::windows] for first in range(windows)]


async def _play(windows: Sequence[Sequence[int]], score: WindowScorer) -> list[list[int]]:
    """Order each window by its call, all at once."""
    try:
        async with asyncio.TaskGroup() as group:
            calls = [group.create_task(_order(window, score)) for window in windows]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [call.result() for call in calls]


async def _order(window: Sequence[int], score: WindowScorer) -> list[int]:
    if len(window) == 1:
        return list(window)
    scores = await score(window)
    if len(scores) != len(window):
        raise ValueError(f"{len(scores)} scores for {len(window)} documents")
    places = sorted(range(len(window)), key=lambda place: -scores[place])
    return [window[place] for place in places]


def _by_place(windows: Sequence[Sequence[int]]) -> list[int]:
    """Put together what is at the same place of its window, first places first."""
    longest = max(map(len, windows))
    return [window[place] for place in range(longest) for window in windows if place < len(window)]
