"""Which meters a call runs on: the limits and budgets that apply to it, and what it takes of each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

from rerankd.access.limits.ledger import Charge
from rerankd.access.limits.settings import BudgetSettings, LimitSettings
from rerankd.access.limits.windows import MINUTE, Span, Window
from rerankd.contract.call_context import Caller
from rerankd.contract.messages import RerankRequest
from rerankd.engine.scoring.estimate import Estimate

_MAX_SUBJECT_CHARS: Final = 64
CALLS: Final = "calls_per_minute"
DOCUMENTS: Final = "documents_per_minute"
TOKENS: Final = "tokens_per_minute"
CONCURRENT: Final = "concurrent_calls"


class Amounts(NamedTuple):
    """What a call takes, or took."""

    documents: float = 0.0
    tokens: float = 0.0
    usd: float = 0.0


class Meter:
    """One quantity of one limit.

    Args:
        limit: Settings of the limit.
        quantity: Name of the quantity: a field of `LimitSettings`, or one of a budget.
        most: Most of the quantity.
        window: In which it counts.
        soft: Beyond it the caller is warned; `None`: never.
    """

    __slots__ = ("_amount", "is_budget", "is_in_headers", "limit", "most", "prefix", "quantity", "soft", "window")

    def __init__(
        self, limit: LimitSettings, quantity: str, most: float, window: Window | None, soft: float | None = None
    ) -> None:
        self.limit = limit
        self.quantity = quantity
        self.most = most
        self.window = window
        self.soft = soft
        self.is_budget = quantity.startswith("usd_per_")
        self.is_in_headers = not self.is_budget and quantity != CONCURRENT
        """Whether answers tell how much of it is left."""
        self.prefix = f"{limit.name}:{quantity}:"
        """Name of the meter without whom it counts."""
        self._amount = {DOCUMENTS: 0, TOKENS: 1}.get(quantity, 2 if self.is_budget else None)

    def amount(self, amounts: Amounts) -> float:
        """Return what a call takes of this quantity."""
        return 1.0 if self._amount is None else amounts[self._amount]


class Meters:
    """The meters of all limits.

    Args:
        limits: Limits with unique names.
    """

    def __init__(self, limits: Sequence[LimitSettings]) -> None:
        self._limits = [(limit, tuple(_meters_of(limit))) for limit in limits]
        meters = [meter for _, some in self._limits for meter in some]
        self.need_estimate = any(meter.is_budget or meter.quantity == TOKENS for meter in meters)
        """Whether any of them counts tokens or money."""

    def __bool__(self) -> bool:
        return bool(self._limits)

    def charges(
        self, request: RerankRequest, model: str, caller: Caller, estimate: Amounts
    ) -> tuple[list[Charge], dict[str, Meter]]:
        """Return what a call takes of each meter that applies to it, and the meters by their names.

        Args:
            request: The request.
            model: Public name of the model it asks for, without aliases.
            caller: Who calls.
            estimate: What it takes.
        """
        charges: list[Charge] = []
        found: dict[str, Meter] = {}
        for limit, meters in self._limits:
            for subject in _subjects(limit, request, model, caller):
                bounded = _bounded(subject)
                for meter in meters:
                    name = meter.prefix + bounded
                    if name not in found:
                        charges.append(Charge(name, meter.most, meter.amount(estimate), meter.window))
                        found[name] = meter
        return charges, found


def amounts_of(request: RerankRequest, estimate: Estimate | None) -> Amounts:
    """Return what a call is expected to take; without an estimate only its documents."""
    if estimate is None:
        return Amounts(documents=len(request.documents))
    return Amounts(len(request.documents), estimate.tokens, estimate.usd)


def _meters_of(limit: LimitSettings) -> Iterator[Meter]:
    for quantity in (CALLS, DOCUMENTS, TOKENS):
        if (most := getattr(limit, quantity)) is not None:
            yield Meter(limit, quantity, most, MINUTE)
    if limit.concurrent_calls is not None:
        yield Meter(limit, CONCURRENT, limit.concurrent_calls, None)
    for budget in limit.budgets:
        yield Meter(limit, _budget_quantity(budget), budget.usd, _window_of(budget), budget.soft_usd)


def _budget_quantity(budget: BudgetSettings) -> str:
    return f"usd_per_{budget.window}_{budget.per}"


def _window_of(budget: BudgetSettings) -> Window:
    return Window(Span(budget.per), is_calendar=budget.window == "calendar")


def _subjects(limit: LimitSettings, request: RerankRequest, model: str, caller: Caller) -> Sequence[str]:
    """Return whom of a limit a call counts for: none, one, or each of the caller's groups."""
    match limit.per:
        case "everyone":
            return ("",)
        case "key":
            subjects: Sequence[str] = (caller.key_id or caller.identity,)
        case "group":
            subjects = caller.groups
        case "model":
            subjects = (model,)
        case "user":
            subjects = (request.user,) if request.user else ()
    return subjects if limit.match == "*" else [each for each in subjects if fnmatchcase(each, limit.match)]


def _bounded(subject: str) -> str:
    """Return a short name for a subject, which a caller may have chosen."""
    if len(subject) <= _MAX_SUBJECT_CHARS and subject.isprintable() and ":" not in subject:
        return subject
    return "#" + hashlib.blake2b(subject.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
