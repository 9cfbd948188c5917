"""Ranks more documents with a listwise model than fit into one call.

Scores of two calls of a listwise model are not comparable, so a tournament uses only the order of each call. In each
round the remaining documents are distributed round robin over windows, so that every window is a fair sample of the
order so far, and all windows of the round are called concurrently. The best few of each window advance to the next
round; the others are ranked below all that advance. The last round is a single window, the final, read twice in
opposite orders: the mean of the two ranks has less noise, and no preference for early documents.

If the model's order of any two documents does not depend on the others, the first documents of the ranking, as many as
advance from each window, equal those of a single call. `docs/decisions/0008-listwise-beyond-the-window.md` compares
other algorithms.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

WindowRanker = Callable[[Sequence[int]], Awaitable[Sequence[int]]]
"""Orders documents in one call: takes n positions, n >= 2, in the order in which the model reads them; returns all of
them, best first."""

_SHARE: Final = 5
"""Of a window, one in so many documents advances at least, ..."""
_LEAST: Final = 4
"""... and so many, or a third of a small window."""
_TOP_N: Final = 10
"""Results for which a tournament is made if the number is not known, or is lower."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How a tournament is played.

    Raises:
        ValueError: `window` or `readings` is out of range.
    """

    window: int
    """Documents per call, at least 2."""
    keep: int | None = None
    """Documents of each window that advance at least; at most half a window does. Default: a fifth, and at least 4."""
    top_n: int | None = None
    """Results needed: the final holds twice as many if it can. `None`: unknown."""
    readings: int | None = None
    """How often the final is read, 1 or 2. Default: twice, unless that makes more calls than a tournament does in which
    half of each window advances and the final is read once, as where two windows hold all documents."""

    def __post_init__(self) -> None:
        if self.window < 2 or self.readings not in (None, 1, 2):
            raise ValueError(f"window must be at least 2 and readings 1 or 2, not {self.window} and {self.readings}")

    def advance(self, windows: int) -> int:
        """Return how many documents of a round of `windows` windows, at least 2, advance."""
        most = self.window // 2
        keep = min(max(self.window // _SHARE, _LEAST), math.ceil(self.window / 3)) if self.keep is None else self.keep
        needed = 2 * max(self.top_n or 0, _TOP_N)
        return min(max(windows * keep, self.window, needed), windows * most)

    def rounds(self, count: int) -> list[int]:
        """Return the calls of each round of `count` documents before the final."""
        rounds = []
        while count > self.window:
            windows = math.ceil(count / self.window)
            rounds.append(min(windows, count - windows))  # a window of one document needs no call
            count = self.advance(windows)
        return rounds

    def readings_of(self, count: int) -> int:
        """Return how often the final of `count` documents is read."""
        if self.readings is not None:
            return self.readings
        halving = Rules(self.window, keep=self.window // 2, readings=1)
        return 2 if sum(self.rounds(count)) + 1 <= sum(halving.rounds(count)) else 1


@dataclass(frozen=True, slots=True)
class TournamentRanking:
    """The documents of a request, ranked."""

    order: Sequence[int]
    """All n positions in the request, best first; no duplicates."""
    readings: Sequence[Sequence[int]] = ()
    """The final's documents, best first by each of its readings; empty without a final."""

    @property
    def disagreement(self) -> float | None:
        """Share of the pairs of the final that its two readings order differently, 0 to 1; `None` if read once."""
        return _disagreement(*self.readings) if len(self.readings) == 2 else None

    def scores(self) -> Sequence[float]:
        """Return one score for each of `order`.

        It is (n - position) / n, strictly descending from 1 to 1 / n: a rank, not a measure of relevance, comparable
        within this response only.
        """
        count = len(self.order)
        return [(count - position) / count for position in range(count)]


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """The calls of a tournament."""

    rounds: Sequence[int]
    """Calls of each round; those of one round are concurrent, rounds are sequential."""

    @property
    def calls(self) -> int:
        """Calls of all rounds."""
        return sum(self.rounds)


def plan_windows(count: int, rules: Rules) -> WindowPlan:
    """Return the number of calls `rank_listwise` makes; none for a single document.

    Args:
        count: Documents, n >= 1.
        rules: Of the tournament.

    Raises:
        ValueError: `count` is out of range.
    """
    _check(count)
    return WindowPlan((*rules.rounds(count), rules.readings_of(count)) if count > 1 else ())


async def rank_listwise(
    count: int, rules: Rules, rank: WindowRanker, draw: random.Random | None = None
) -> TournamentRanking:
    """Rank documents with a model that takes only some of them per call.

    If a call fails, the other calls of its round are cancelled and its error is raised.

    Args:
        count: Documents, n >= 1.
        rules: Of the tournament.
        rank: Makes one call; must rank every document it is given.
        draw: Decides which of several documents of about the same rank goes to which window; `None`: their order does.

    Raises:
        ValueError: `count` is out of range, or a call returned the wrong number of documents.
        Exception: Raised by `rank`.
    """
    _check(count)
    remaining: list[int] = list(range(count))
    eliminated: list[list[int]] = []
    while len(remaining) > rules.window:
        windows = math.ceil(len(remaining) / rules.window)
        ordered = interleave(await rank_all(distribute(remaining, windows, draw), rank))
        advance = rules.advance(windows)
        remaining, lost = ordered[:advance], ordered[advance:]
        eliminated.append(lost)
    behind = [position for lost in reversed(eliminated) for position in lost]
    if len(remaining) == 1:
        return TournamentRanking(remaining)
    orders = [remaining, remaining[::-1]][: rules.readings_of(count)]
    readings = await rank_all(orders, rank)
    return TournamentRanking([*mean_rank(remaining, readings), *behind], readings)


def distribute(remaining: Sequence[int], windows: int, draw: random.Random | None = None) -> list[Sequence[int]]:
    """Distribute documents round robin over windows, whose sizes differ by one at most.

    Args:
        remaining: n positions, best first by the order so far; so is each window.
        windows: Number of windows, 1 to n.
        draw: Decides at random which window gets which of documents that follow one another.
    """
    if draw is None:
        return [remaining[first::windows] for first in range(windows)]
    dealt: list[list[int]] = [[] for _ in range(windows)]
    for start in range(0, len(remaining), windows):
        turn = list(remaining[start : start + windows])
        seats = draw.sample(range(windows), len(turn)) if len(turn) == windows else range(len(turn))
        for seat, position in zip(seats, turn, strict=True):
            dealt[seat].append(position)
    return list(dealt)


async def rank_all(windows: Sequence[Sequence[int]], rank: WindowRanker) -> list[Sequence[int]]:
    """Rank several windows concurrently.

    Raises:
        ValueError: A call returned the wrong number of documents.
        Exception: The first one raised by `rank`; the other calls are cancelled.
    """
    try:
        async with asyncio.TaskGroup() as group:
            calls = [group.create_task(_rank_one(window, rank)) for window in windows]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [call.result() for call in calls]


def mean_rank(documents: Sequence[int], orders: Sequence[Sequence[int]]) -> list[int]:
    """Merge orders of the same documents by their mean rank; ties keep the order of `documents`."""
    total = dict.fromkeys(documents, 0)
    for order in orders:
        for position, document in enumerate(order):
            total[document] += position
    return sorted(documents, key=total.__getitem__)


def _disagreement(first: Sequence[int], second: Sequence[int]) -> float:
    rank_of = {document: position for position, document in enumerate(second)}
    ranks = [rank_of[document] for document in first]
    count = len(ranks)
    swapped = sum(ranks[i] > ranks[j] for i in range(count) for j in range(i + 1, count))
    return swapped / (count * (count - 1) / 2)


def interleave(windows: Sequence[Sequence[int]]) -> list[int]:
    """Merge windows: first documents of all windows first, then second ones, and so on."""
    longest = max(map(len, windows))
    return [window[rank] for rank in range(longest) for window in windows if rank < len(window)]


def _check(count: int) -> None:
    if count < 1:
        raise ValueError(f"count must be at least 1, not {count}")


async def _rank_one(window: Sequence[int], rank: WindowRanker) -> Sequence[int]:
    if len(window) == 1:
        return window
    order = await rank(window)
    if len(order) != len(window):
        raise ValueError(f"{len(order)} documents ranked of {len(window)}")
    return order
