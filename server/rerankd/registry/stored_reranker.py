"""A reranker as it is stored and listed."""

from __future__ import annotations

from typing import Any, Final

import msgspec

FIELDS: Final = ("name", "description", "strategy", "status", "config", "metadata")
"""What can be changed of a reranker, and what its versions keep."""


class RerankerContent(msgspec.Struct, frozen=True, kw_only=True):
    """What its owner says of a reranker."""

    name: str = ""
    """What people call it."""
    description: str = ""
    strategy: str = ""
    status: str = "active"
    config: dict[str, Any] = {}
    """As it was given: `documented_config` turns it into the settings' own names."""
    metadata: dict[str, Any] = {}
    """Free JSON; nothing of the service reads it."""


class CallTotals(msgspec.Struct, frozen=True, kw_only=True):
    """What the calls of a reranker add up to."""

    runs: int = 0
    """Calls, failed ones too."""
    failures: int = 0
    latency_ms: float = 0.0
    """Sum of those that were answered."""
    last_used_at: float | None = None
    """Seconds since 1970; `None`: never."""

    @property
    def average_latency_ms(self) -> float:
        """Mean of the calls that were answered; 0 where there is none."""
        answered = self.runs - self.failures
        return self.latency_ms / answered if answered > 0 else 0.0


class StoredReranker(msgspec.Struct, frozen=True, kw_only=True):
    """A reranker of the store or of the settings. Times are seconds since 1970."""

    key: str
    content: RerankerContent
    version: int = 0
    """Counts its changes, from 1; 0 for one of the settings."""
    change: int = 0
    """Number of its last change among those of all rerankers, by which etags differ."""
    created_at: float = 0.0
    """0 for one of the settings."""
    updated_at: float = 0.0
    totals: CallTotals = CallTotals()
    problem: str = ""
    """Why it cannot be served; empty where it can, or where that is not known."""

    @property
    def etag(self) -> str:
        """Names this state of it; empty for one of the settings."""
        return f"{self.version}-{self.change}" if self.version else ""

    @property
    def is_declared(self) -> bool:
        """Whether it is one of the settings, and cannot be changed here."""
        return self.version == 0


class RerankerVersion(msgspec.Struct, frozen=True, kw_only=True):
    """What a reranker was after one of its changes."""

    version: int
    content: RerankerContent
    created_at: float
    """Seconds since 1970."""
    author: str = ""
    """Identity of the caller who made the change; empty where callers are not known."""
    origin: str = ""
    """`create`, `update` or `rollback to N`."""
