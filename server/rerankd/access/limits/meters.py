"""Which meters a call runs on: the limits and budgets that apply to it, and what it takes of each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

from rerankd.access.limits.ledger import Charge
from rerankd.access.limits.settings import BudgetSettings, LimitSettings
from rerankd.access.limits.windows import MINUTE, Span, Window
from rerankd.contract.call_context import Caller
from rerankd.contract.messages import RerankRequest
from rerankd.engine.scoring.estimate import Estimate, Needed

_MAX_SUBJECT_CHARS: Final = 64
_MAX_APPLIED: Final = 10_000
"""Callers, users and models whose meters are remembered."""
CALLS: Final = "calls_per_minute"
DOCUMENTS: Final = "documents_per_minute"
TOKENS: Final = "tokens_per_minute"
CONCURRENT: Final = "concurrent_calls"


class Amounts(NamedTuple):
    """What a call takes, or took."""

    documents: float = 0.0
    tokens: float = 0.0
    usd: float = 0.0
    calls: float = 1.0
    """One, also of a call that failed."""


class Meter:
    """One quantity of one limit.

    Args:
        limit: Settings of the limit.
        quantity: Name of the quantity: a field of `LimitSettings`, or one of a budget.
        most: Most of the quantity.
        window: In which it counts.
        soft: Beyond it the caller is warned; `None`: never.
    """

    __slots__ = ("index", "is_budget", "is_in_headers", "limit", "most", "prefix", "quantity", "soft", "window")

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
        self.index = {DOCUMENTS: 0, TOKENS: 1}.get(quantity, 2 if self.is_budget else 3)
        """Of its quantity among `Amounts`."""


class Applied:
    """The meters that apply to the calls of one caller, user and model.

    Args:
        meters: By their names, which say whom they count.
    """

    __slots__ = ("_charges", "_indexes", "_parts", "_taken", "meters", "shown", "warns")

    def __init__(self, meters: Mapping[str, Meter]) -> None:
        self.meters = meters
        """As above."""
        self.shown = [number for number, meter in enumerate(meters.values()) if meter.is_in_headers]
        """Places, in the order of the charges, of those of which answers tell how much is left."""
        self.warns = any(meter.soft is not None for meter in meters.values())
        """Whether any has a soft limit."""
        self._parts = [(name, meter.most, meter.window, meter.quantity == CALLS) for name, meter in meters.items()]
        self._indexes = [meter.index for meter in meters.values()]
        self._taken: Sequence[float] = ()
        self._charges: Sequence[Charge] = ()

    def charges(self, amounts: Amounts) -> Sequence[Charge]:
        """Return what a call takes of each meter; the same charges as of the last call that took as much."""
        taken = self.amounts(amounts)
        if taken != self._taken:
            self._charges = [
                Charge(name, most, amount, window, is_final)
                for (name, most, window, is_final), amount in zip(self._parts, taken, strict=True)
            ]
            self._taken = taken
        return self._charges

    def amounts(self, amounts: Amounts) -> Sequence[float]:
        """Return what a call took of each meter, in the order of the charges."""
        return [*map(amounts.__getitem__, self._indexes)]


class Meters:
    """The meters of all limits.

    Args:
        limits: Limits with unique names.
    """

    def __init__(self, limits: Sequence[LimitSettings]) -> None:
        self._limits = [(limit, tuple(_meters_of(limit))) for limit in limits]
        self._asks_user = any(limit.per == "user" for limit in limits)
        self._asks_model = any(limit.per == "model" for limit in limits)
        self._applied: dict[object, Applied] = {}
        self.needed = max((_needed_by(meter) for _, meters in self._limits for meter in meters), default=Needed.NOTHING)
        """What any of them counts that has to be estimated."""
        self.asks = self._asks_model or self.needed is not Needed.NOTHING
        """Whether the engine has to be asked, for the name of the model or an estimate."""

    def __bool__(self) -> bool:
        return bool(self._limits)

    def applied(self, request: RerankRequest, model: str, caller: Caller) -> Applied:
        """Return the meters that apply to a call.

        Args:
            request: The request.
            model: Public name of the model it asks for, without aliases.
            caller: Who calls.
        """
        if self._asks_user or self._asks_model:
            user, model = request.user if self._asks_user else "", model if self._asks_model else ""
            if len(user) > _MAX_SUBJECT_CHARS or len(model) > _MAX_SUBJECT_CHARS:
                return self._find(request, model, caller)
            key: object = (caller.key_id or caller.identity, caller.groups, user, model)
        else:
            key = (caller.key_id or caller.identity, caller.groups)
        if (known := self._applied.get(key)) is not None:
            return known
        if len(self._applied) >= _MAX_APPLIED:
            self._applied.clear()
        found = self._applied[key] = self._find(request, model, caller)
        return found

    def _find(self, request: RerankRequest, model: str, caller: Caller) -> Applied:
        found: dict[str, Meter] = {}
        for limit, meters in self._limits:
            for subject in _subjects(limit, request, model, caller):
                bounded = _bounded(subject)
                for meter in meters:
                    found.setdefault(meter.prefix + bounded, meter)
        return Applied(found)


def amounts_of(request: RerankRequest, estimate: Estimate | None) -> Amounts:
    """Return what a call is expected to take; without an estimate only its documents."""
    if estimate is None:
        return Amounts(len(request.documents))
    return Amounts(len(request.documents), estimate.tokens, estimate.usd)


def _needed_by(meter: Meter) -> Needed:
    if meter.quantity == TOKENS:
        return Needed.TOKENS
    return Needed.MONEY if meter.is_budget else Needed.NOTHING


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
