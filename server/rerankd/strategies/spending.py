"""What the stages of one call may still spend: time and money."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from rerankd.contract.messages import Usage
from rerankd.engine.rendering import RenderedRequest, select_documents
from rerankd.engine.scoring.estimate import estimate
from rerankd.strategies.member import Member

_DEADLINE_MARGIN_S: Final = 0.02
"""Kept of the caller's deadline, to answer with what has been scored by then."""
_LEAST_S: Final = 0.001
"""Time left below which no further stage is asked."""


class Spending:
    """Time and money of one call of a reranker; the time begins now.

    Args:
        budget_ms: Milliseconds for all stages; `None`: the caller's deadline alone bounds them.
        budget_usd: US dollars for all stages; `None` for no bound.
        deadline_s: `time.monotonic()` of the caller's deadline; `None` without one.
    """

    def __init__(self, budget_ms: float | None, budget_usd: float | None, deadline_s: float | None) -> None:
        self._budget_ms = budget_ms
        self._budget_usd = budget_usd
        self._clock = asyncio.get_running_loop().time
        now_s = self._clock()
        ends = [] if budget_ms is None else [now_s + budget_ms / 1000]
        if deadline_s is not None:
            ends.append(now_s + deadline_s - time.monotonic() - _DEADLINE_MARGIN_S)
        self._ends_s = min(ends, default=None)
        self._is_budget = budget_ms is not None and self._ends_s == ends[0]
        self._spent_usd = 0.0

    def add(self, usage: Usage) -> None:
        """Count what a stage has consumed; an unknown cost counts as none."""
        self._spent_usd += usage.cost or 0.0

    @property
    def is_over(self) -> bool:
        """Whether no time is left."""
        return self._ends_s is not None and self._ends_s - self._clock() < _LEAST_S

    def remaining_s(self) -> float | None:
        """Return the seconds left, above 0; `None` without a bound."""
        return None if self._ends_s is None else max(self._ends_s - self._clock(), _LEAST_S)

    def refusal(self, member: Member, request: RenderedRequest, indices: Sequence[int]) -> str:
        """Return why a member is not asked any more; empty if it may be.

        Args:
            member: The next member.
            request: The reranker's request.
            indices: Index in the request of each document that the member would score, ascending.
        """
        if self.is_over:
            return f"budget_ms, {self._budget_ms:g}, is spent" if self._is_budget else "the deadline is near"
        if self._budget_usd is None:
            return ""
        price = member.price
        asked = select_documents(request, indices, request.request)
        needed = estimate(asked.query, asked.texts, price).usd
        if self._spent_usd + needed <= self._budget_usd and self._spent_usd < self._budget_usd:
            return ""
        cost = f"{self._spent_usd + needed:.6f}"
        return f"it would bring the cost to {cost} USD, and budget_usd is {self._budget_usd:g}"
