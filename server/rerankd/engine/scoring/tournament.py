"""Ranks more documents with a listwise model than fit into one call.

Scores of two calls of a listwise model are not comparable, so a tournament uses only the order of each call. In each
round the remaining documents are distributed round robin over windows, so that every window is a fair sample of the
order so far, and all windows of the round are called concurrently. The best half window of each advances to the next
round; the others are ranked below all that advance. The last round is a single window.

If the model's order of any two documents does not depend on the others, the first half window of the ranking equals
that of a single call. `docs/decisions/0008-listwise-beyond-the-window.md` compares other algorithms.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

WindowScorer = Callable[[Sequence[int]], Awaitable[Sequence[float]]]
"""Scores documents in one call: takes n positions in the request, best first by the order so far; returns n finite
scores in that order, higher is better, comparable within the call."""


@dataclass(frozen=True, slots=True)
class TournamentRanking:
    """The documents of a request, ranked."""

    order: Sequence[int]
    """Positions in the request, best first: all n, or the first `top_n`; no duplicates."""
    scores: Sequence[float]
    """One for each of `order`: (n - position) / n, strictly descending from 1 to 1 / n. A rank, not a measure of
    relevance: comparable within this response only."""


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """The calls of a tournament."""

    rounds: Sequence[int]
    """Calls of each round; those of one round are concurrent, rounds are sequential."""

    @property
    def calls(self) -> int:
        """Calls of all rounds."""
        return sum(self.rounds)


def plan_windows(count: int, window: int) -> WindowPlan:
    """Return the number of calls `rank_listwise` makes; none for a single document.

    Args:
        count: Documents, n >= 1.
        window: Documents per call, at least 2.

    Raises:
        ValueError: `count` or `window` is out of range.
    """
    _check(count, window)
    rounds = []
    remaining = count
    while remaining > window:
        sizes = [len(documents) for documents in _distribute(range(remaining), window)]
        rounds.append(sum(1 for size in sizes if size > 1))
        remaining = sum(min(size, window // 2) for size in sizes)
    return WindowPlan((*rounds, 1) if remaining > 1 else ())


async def rank_listwise(count: int, window: int, score: WindowScorer, top_n: int | None = None) -> TournamentRanking:
    """Rank documents with a model that takes only `window` of them per call.

    Deterministic: equal scores keep the order of the request. If a call fails, the other calls of its round are
    cancelled and its error is raised.

    Args:
        count: Documents, n >= 1.
        window: Documents per call, at least 2.
        score: Makes one call; must score every document it is given.
        top_n: Documents to return, at least 1; `None` for all.

    Raises:
        ValueError: `count` or `window` is out of range, or a call returned the wrong number of scores.
        Exception: Raised by `score`.
    """
    _check(count, window)
    remaining: list[int] = list(range(count))
    eliminated: list[list[int]] = []
    while len(remaining) > window:
        ordered = await _order_windows(_distribute(remaining, window), score)
        eliminated.append(_interleave([positions[window // 2 :] for positions in ordered]))
        remaining = _interleave([positions[: window // 2] for positions in ordered])
    (final,) = await _order_windows([remaining], score)
    order = [*final, *(position for lost in reversed(eliminated) for position in lost)]
    return TournamentRanking(order[:top_n], [(count - position) / count for position in range(count)][:top_n])


def _check(count: int, window: int) -> None:
    if count < 1 or window < 2:
        raise ValueError(f"count must be at least 1 and window at least 2, not {count} and {window}")


def _distribute(remaining: Sequence[int], window: int) -> list[Sequence[int]]:
    """Distribute documents round robin over windows, whose sizes differ by one at most."""
    windows = math.ceil(len(remaining) / window)
    return [remaining[first::windows] for first in range(windows)]


async def _order_windows(windows: Sequence[Sequence[int]], score: WindowScorer) -> list[list[int]]:
    """Order each window by the scores of its call; calls are concurrent."""
    try:
        async with asyncio.TaskGroup() as group:
            calls = [group.create_task(_order_window(window, score)) for window in windows]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [call.result() for call in calls]


async def _order_window(window: Sequence[int], score: WindowScorer) -> list[int]:
    if len(window) == 1:
        return list(window)
    scores = await score(window)
    if len(scores) != len(window):
        raise ValueError(f"{len(scores)} scores for {len(window)} documents")
    order = sorted(range(len(window)), key=lambda number: -scores[number])
    return [window[number] for number in order]


def _interleave(windows: Sequence[Sequence[int]]) -> list[int]:
    """Merge windows: first documents of all windows first, then second ones, and so on."""
    longest = max(map(len, windows))
    return [window[rank] for rank in range(longest) for window in windows if rank < len(window)]
