"""Running totals of a batch."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from rerankd.console.batch.outcomes import Outcome, RecordedOutcome
from rerankd_client import Usage


@dataclass(slots=True)
class Totals:
    """Totals of this run and of the earlier runs that it resumes."""

    expected: int | None = None
    """Items in the input; None if unknown."""
    earlier: int = 0
    """Items finished by earlier runs."""
    finished: int = 0
    """Items finished by this run."""
    failed: int = 0
    """Failed items of all runs."""
    failed_here: int = 0
    """Failed items of this run."""
    first_failure: str = ""
    """Item and message of the first failure; empty without one."""
    documents_here: int = 0
    """Documents scored by this run."""
    documents: int = 0
    tokens: int = 0
    search_units: int = 0
    cached_documents: int = 0
    cost: float | None = None
    """US dollars; None if no item reports a cost."""
    started_s: float = field(default_factory=time.monotonic)

    @property
    def done(self) -> int:
        """Items with an outcome."""
        return self.earlier + self.finished

    def add_earlier(self, seen: RecordedOutcome) -> None:
        """Count an outcome of an earlier run."""
        self.earlier += 1
        self._count_failure(seen)
        self._use(seen.usage)

    def add(self, outcome: Outcome) -> None:
        """Count an outcome of this run."""
        self.finished += 1
        self._count_failure(outcome)
        self.failed_here += bool(outcome.status.code)
        self.documents_here += outcome.usage.documents if outcome.usage else 0
        self._use(outcome.usage)

    def elapsed_s(self) -> float:
        """Seconds since the start of this run; > 0."""
        return max(time.monotonic() - self.started_s, 1e-9)

    def items_per_s(self) -> float:
        """Items per second of this run."""
        return self.finished / self.elapsed_s()

    def pairs_per_s(self) -> float:
        """Query-document pairs per second of this run."""
        return self.documents_here / self.elapsed_s()

    def remaining_s(self) -> float | None:
        """Estimated seconds to completion; None if unknown."""
        if self.expected is None or not self.finished:
            return None
        return max(self.expected - self.done, 0) / self.items_per_s()

    def to_dict(self) -> dict[str, object]:
        """Return the totals as JSON values."""
        return {
            "items": self.done,
            "items_of_this_run": self.finished,
            "failed": self.failed,
            "first_failure": self.first_failure or None,
            "documents": self.documents,
            "cached_documents": self.cached_documents,
            "total_tokens": self.tokens,
            "search_units": self.search_units,
            "cost": self.cost,
            "elapsed_s": round(self.elapsed_s(), 3),
            "items_per_s": round(self.items_per_s(), 3),
            "pairs_per_s": round(self.pairs_per_s(), 3),
        }

    def _count_failure(self, outcome: Outcome | RecordedOutcome) -> None:
        if not outcome.status.code:
            return
        self.failed += 1
        if not self.first_failure:
            name = f"item {outcome.item_id}" if outcome.item_id else f"item_index {outcome.item_index}"
            self.first_failure = f"{name}: {outcome.status.message}"

    def _use(self, usage: Usage | None) -> None:
        if usage is None:
            return
        self.documents += usage.documents
        self.tokens += usage.total_tokens
        self.search_units += usage.search_units
        self.cached_documents += getattr(usage, "cached_documents", 0)
        if usage.cost is not None:
            self.cost = (self.cost or 0.0) + usage.cost
