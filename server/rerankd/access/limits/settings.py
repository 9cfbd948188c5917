"""Settings of limits and budgets."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

_PER_MINUTE = ("calls_per_minute", "documents_per_minute", "tokens_per_minute")


class BudgetSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Money that may be spent in a window of time."""

    usd: float
    """US dollars; calls that could exceed it are refused with `BUDGET_EXCEEDED`."""
    per: Literal["day", "week", "month"] = "month"
    """Length of the window; weeks start on Monday."""
    window: Literal["calendar", "rolling"] = "calendar"
    """`calendar` starts anew with each day, week or month in UTC; `rolling` ends now, and a month has 30 days."""
    soft_usd: float | None = None
    """Calls beyond it are answered with a warning; default: none."""

    def problems(self, path: str) -> Iterator[str]:
        """Say what cannot be used, one sentence each."""
        if not 0 < self.usd < math.inf:
            yield f"{path}.usd must be above 0, is {self.usd:g}"
        if self.soft_usd is not None and not 0 < self.soft_usd <= self.usd:
            yield f"{path}.soft_usd must be above 0 and at most usd ({self.usd:g}), is {self.soft_usd:g}"


class LimitSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Limits and budgets of everybody, or of each key, group, model or end user. A call must pass all that apply."""

    name: str
    """Name in errors and warnings; unique."""
    per: Literal["everyone", "key", "group", "model", "user"] = "everyone"
    """Whom it counts: all calls together, or those of each key, group, model, or `user` of the request. Calls without
    a key count together; calls without a group or without a user are not counted."""
    match: str = "*"
    """Which keys (by id), groups, models or users it is for; `*` matches any text."""
    calls_per_minute: float | None = None
    """Calls in any minute; each item of a batch is a call."""
    documents_per_minute: float | None = None
    """Documents in any minute."""
    tokens_per_minute: float | None = None
    """Tokens in any minute: estimated when a call starts, as its provider reports when it ends."""
    concurrent_calls: int | None = None
    """Calls at once."""
    budgets: tuple[BudgetSettings, ...] = ()
    """Budgets, all of which must pass."""

    def problems(self, path: str) -> Iterator[str]:
        """Say what cannot be used, one sentence each."""
        if not self.name or len(self.name) > 64 or ":" in self.name:
            yield f"{path}.name must have 1 to 64 characters and no colon, is {self.name!r}"
        for name in (*_PER_MINUTE, "concurrent_calls"):
            value = getattr(self, name)
            if value is not None and not 1 <= value < math.inf:
                yield f"{path}.{name} must be at least 1, is {value:g}"
        if self.per == "everyone" and self.match != "*":
            yield f"{path}.match needs per: key, group, model or user"
        if not self.budgets and all(getattr(self, name) is None for name in (*_PER_MINUTE, "concurrent_calls")):
            yield f"{path} limits nothing: set {', '.join(_PER_MINUTE)}, concurrent_calls or budgets"
        yield from budget_problems(self.budgets, f"{path}.budgets")


def budget_problems(budgets: Sequence[BudgetSettings], path: str) -> Iterator[str]:
    """Say what cannot be used of several budgets of the same subject, one sentence each."""
    kinds = [(budget.per, budget.window) for budget in budgets]
    for number, budget in enumerate(budgets):
        yield from budget.problems(f"{path}[{number}]")
        if kinds.index(kinds[number]) < number:
            yield f"{path}[{number}] is a second {budget.window} budget per {budget.per}"


class LedgerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where limits and budgets are counted."""

    path: str = ""
    """File on a local disk that the workers of one machine share, 25 MB, beside it 4 MB for each of them; default:
    `limits.counts` in `store.state_dir`."""
    redis_url: str = ""
    """`redis://`, `rediss://` or `unix://` address of a Redis that several replicas share; default: the file counts."""
    key_prefix: str = "rerankd"
    """First part of every key in Redis."""
    timeout_ms: float = 250.0
    """Longest silence of the ledger that a call waits for. While it answers others, or another worker has its file
    locked, a call waits for up to a second."""
    fail_mode: Literal["open", "closed"] = "open"
    """What happens to calls while the ledger is away: `open` answers them uncounted, `closed` refuses them with 503."""

    def problems(self, path: str) -> Iterator[str]:
        """Say what cannot be used, one sentence each."""
        if not 0 < self.timeout_ms < math.inf:
            yield f"{path}.timeout_ms must be above 0, is {self.timeout_ms:g}"
        if self.redis_url and self.path:
            yield f"{path}.path and {path}.redis_url exclude each other"
