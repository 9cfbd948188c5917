"""Plans: which windows of documents a model orders, and how one order is made of the answers.

Every plan takes n documents in the order so far and a function that orders one window in one call; the number of calls
is known beforehand. `docs/decisions/0044-llm-listwise.md` compares them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from rerankd.engine.scoring.tournament import (
    Rules,
    TournamentRanking,
    WindowRanker,
    distribute,
    interleave,
    plan_windows,
    rank_all,
    rank_listwise,
)

_SURVIVAL: Final = (0.5, 0.2, 0.1, 0.05, 0.02)
"""Documents that survive each stage of TourRank, as shares of all."""


class Plan(Protocol):
    """One plan. Task-safe."""

    def calls(self, count: int, /) -> int:
        """Return how many calls are made for n documents, n >= 1."""
        ...

    async def rank(self, count: int, rank: WindowRanker, draw: random.Random, /) -> TournamentRanking:
        """Order n documents, n >= 1. Windows that do not depend on one another are ordered concurrently.

        Args:
            count: Documents, in the order so far.
            rank: Orders one window.
            draw: Deals documents to windows.

        Raises:
            Exception: The first one raised by `rank`; the other calls are cancelled.
        """
        ...


@dataclass(frozen=True, slots=True)
class Groups:
    """The tournament of `engine.scoring.tournament`."""

    rules: Rules

    def calls(self, count: int, /) -> int:
        """See `Plan`."""
        return plan_windows(count, self.rules).calls

    async def rank(self, count: int, rank: WindowRanker, draw: random.Random, /) -> TournamentRanking:
        """See `Plan`."""
        return await rank_listwise(count, self.rules, rank, draw)


@dataclass(frozen=True, slots=True)
class Sliding:
    """RankGPT: windows from the back to the front, one after the other, each with half of the one before."""

    window: int
    """Documents per call, at least 2."""

    def calls(self, count: int, /) -> int:
        """See `Plan`."""
        return 0 if count == 1 else 1 + math.ceil(max(count - self.window, 0) / (self.window // 2))

    async def rank(self, count: int, rank: WindowRanker, _draw: random.Random, /) -> TournamentRanking:
        """See `Plan`."""
        order = list(range(count))
        for turn in range(self.calls(count)):
            end = count - turn * (self.window // 2)
            start = max(0, end - self.window)
            (order[start:end],) = await rank_all([order[start:end]], rank)
        return TournamentRanking(order)


@dataclass(frozen=True, slots=True)
class JointRank:
    """All documents are dealt to windows several times at once and ordered by mean rank: one round."""

    window: int
    """Documents per call, at least 2."""
    deals: int
    """How often each document is dealt, at least 1."""

    def calls(self, count: int, /) -> int:
        """See `Plan`."""
        windows = math.ceil(count / self.window)
        return self.deals * min(windows, count - windows)

    async def rank(self, count: int, rank: WindowRanker, draw: random.Random, /) -> TournamentRanking:
        """See `Plan`."""
        windows = math.ceil(count / self.window)
        dealt = [window for _ in range(self.deals) for window in distribute(range(count), windows, draw)]
        total = [0.0] * count
        for order in await rank_all(dealt, rank):
            for number, position in enumerate(order):
                total[position] += (number + 0.5) / len(order)
        return TournamentRanking(sorted(range(count), key=total.__getitem__))


class _Stage(NamedTuple):
    """One stage of one tournament of TourRank."""

    documents: int
    windows: int
    survivors: int


@dataclass(frozen=True, slots=True)
class TourRank:
    """Several tournaments at once, each dealt anew; a document has a point for every stage that it survives."""

    window: int
    """Documents per call, at least 2."""
    tournaments: int
    """How many, at least 1."""

    def calls(self, count: int, /) -> int:
        """See `Plan`."""
        stages = self._stages(count)
        return self.tournaments * sum(min(each.windows, each.documents - each.windows) for each in stages)

    async def rank(self, count: int, rank: WindowRanker, draw: random.Random, /) -> TournamentRanking:
        """See `Plan`."""
        remaining = [list(range(count)) for _ in range(self.tournaments)]
        points = [0] * count
        for _, windows, survivors in self._stages(count):
            dealt: list[Sequence[int]] = []
            for left in remaining:
                draw.shuffle(left)
                dealt += distribute(left, windows, draw)
            orders = await rank_all(dealt, rank)
            remaining = [
                interleave(orders[first : first + windows])[:survivors] for first in range(0, len(orders), windows)
            ]
            for left in remaining:
                for position in left:
                    points[position] += 1
        return TournamentRanking(sorted(range(count), key=points.__getitem__, reverse=True))

    def _stages(self, count: int) -> Sequence[_Stage]:
        stages = []
        left = count
        for share in _SURVIVAL:
            survivors = max(round(count * share), 1)
            if survivors < left:
                fewest = math.ceil(left / self.window)  # as many as at first, if two documents are in each
                windows = 1 if fewest == 1 else min(math.ceil(count / self.window), max(fewest, left // 2))
                stages.append(_Stage(left, windows, survivors))
                left = survivors
        return stages
