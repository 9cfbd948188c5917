"""Holds calls to limits and budgets: reserves before a call, settles to what it used after it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple, NoReturn, Protocol, TypeAlias

from rerankd.access.limits.ledger import Charge, Lease, Ledger, LedgerUnavailableError, Refusal
from rerankd.access.limits.meters import Amounts, Applied, Meter, Meters, amounts_of
from rerankd.access.limits.settings import LedgerSettings, LimitSettings
from rerankd.access.limits.windows import MINUTE
from rerankd.contract import messages
from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.service import RerankService
from rerankd.engine.scoring.estimate import Needed, Quote
from rerankd.engine.warming import rerank_request_of
from rerankd.telemetry.calls.recording import current_record

_NOTHING_USED: Final = Amounts()
"""By a call that failed."""
_NOT_ASKED: Final = Quote("", None)
_BILLED_OUTCOMES: Final = frozenset({"ok", "cancelled", "timeout"})
"""Outcomes of provider calls that a provider may bill although the rerank call failed."""


class Quoting(Protocol):
    """Tells what a request would use."""

    def quote(self, request: messages.RerankRequest, needed: Needed) -> Quote:
        """Resolve the model of a request, and estimate its use by the costliest of it and its fallbacks."""
        ...


class Limits(NamedTuple):
    """Limits of one version of the settings."""

    meters: Meters
    refuses_uncounted: bool
    """Whether calls are refused while the ledger is away."""


_Reserved: TypeAlias = tuple[Applied, Lease, Amounts]
"""What one call has reserved: on which meters, its lease, and the estimate."""


def limits_of(limits: Sequence[LimitSettings], ledger: LedgerSettings) -> Limits:
    """Prepare the limits of the settings."""
    return Limits(Meters(limits), ledger.fail_mode == "closed")


class LimitedService:
    """Refuses calls beyond limits and budgets. Satisfies `RerankService`.

    A call that is answered is charged what its answer says. One that failed is charged as a call, and the estimate too
    where a provider may bill it: it had answered part of it, or was cut off while it worked.

    Args:
        service: Answers the calls.
        limits: Returns the current limits.
        ledger: Counts.
        quoting: Tells what a request would use.
    """

    def __init__(self, service: RerankService, limits: Callable[[], Limits], ledger: Ledger, quoting: Quoting) -> None:
        self._service = service
        self._limits = limits
        self._ledger = ledger
        self._quoting = quoting

    def rerank(
        self, request: messages.RerankRequest, call: CallContext
    ) -> Coroutine[Any, Any, messages.RerankResponse]:
        """Answer by the service if every limit and budget has room; without limits, nothing is in between.

        Raises:
            ServiceError: `RATE_LIMITED`, `BUDGET_EXCEEDED`, or `LIMITS_UNAVAILABLE` if the ledger is away and calls are
                not to be answered uncounted.
        """
        limits = self._limits()
        return self._counted(request, call, limits) if limits.meters else self._service.rerank(request, call)

    async def _counted(
        self, request: messages.RerankRequest, call: CallContext, limits: Limits
    ) -> messages.RerankResponse:
        reserved = await self._reserve(request, call, limits)
        if reserved is None:
            return await self._service.rerank(request, call)
        applied, lease, estimated = reserved
        used = _NOTHING_USED
        try:
            response = await self._service.rerank(request, call)
            used = _used_by(response, estimated)
        except BaseException:
            used = estimated if _may_be_billed() else used
            raise
        finally:
            self._ledger.settle(lease, applied.amounts(used))
        if applied.warns:
            _warn(response, applied.meters, lease)
        return response

    async def list_models(self, request: messages.ListModelsRequest, call: CallContext) -> messages.ListModelsResponse:
        """Answer by the service; not limited."""
        return await self._service.list_models(request, call)

    async def get_model(self, request: messages.GetModelRequest, call: CallContext) -> messages.GetModelResponse:
        """Answer by the service; not limited."""
        return await self._service.get_model(request, call)

    async def warm_documents(
        self, request: messages.WarmDocumentsRequest, call: CallContext
    ) -> messages.WarmDocumentsResponse:
        """Answer by the service if every limit has room for a call with these documents.

        Raises:
            ServiceError: As of `rerank`.
        """
        limits = self._limits()
        if not limits.meters:
            return await self._service.warm_documents(request, call)
        reserved = await self._reserve(rerank_request_of(request), call, limits)
        if reserved is None:
            return await self._service.warm_documents(request, call)
        applied, lease, estimated = reserved
        used = _NOTHING_USED
        try:
            response = await self._service.warm_documents(request, call)
            used = estimated
        finally:
            self._ledger.settle(lease, applied.amounts(used))
        return response

    async def _reserve(self, request: messages.RerankRequest, call: CallContext, limits: Limits) -> _Reserved | None:
        """Reserve the estimate of a call; return `None` for one that is answered uncounted."""
        meters = limits.meters
        quote = self._quoting.quote(request, meters.needed) if meters.asks else _NOT_ASKED
        estimated = amounts_of(request, quote.estimate)
        applied = meters.applied(request, quote.model, call.caller)
        if not applied.meters:
            return None
        charges = applied.charges(estimated)
        try:
            outcome = await self._ledger.acquire(charges)
        except LedgerUnavailableError:
            if limits.refuses_uncounted:
                raise ServiceError(
                    Reason.LIMITS_UNAVAILABLE,
                    "limits and budgets cannot be counted at the moment; try again shortly",
                    retry_after_s=1.0,
                ) from None
            return None
        if isinstance(outcome, Refusal):
            _refuse(outcome, applied.meters)
        if applied.shown:
            _tell_rate(call.response_metadata, charges, outcome.used, applied.shown)
        return applied, outcome, estimated


def _used_by(response: messages.RerankResponse, estimated: Amounts) -> Amounts:
    """Return what an answer says; a cost that nobody knows is taken to be the estimate."""
    usage = response.usage
    if usage is None:
        return estimated
    return Amounts(
        documents=usage.documents,
        tokens=usage.total_tokens or (0.0 if usage.cached_documents >= usage.documents else estimated.tokens),
        usd=estimated.usd if usage.cost is None else usage.cost,
    )


def _may_be_billed() -> bool:
    record = current_record()
    return record is not None and any(attempt.outcome in _BILLED_OUTCOMES for attempt in record.attempts)


def _refuse(refusal: Refusal, meters: Mapping[str, Meter]) -> NoReturn:
    charge, used = refusal.reading
    meter = meters[charge.meter]
    headers: dict[str, str] = {}
    if meter.is_in_headers:
        _tell_rate(headers, [charge], [used], [0])
    name = meter.limit.name
    whose = "" if meter.limit.per == "everyone" else f" of this {meter.limit.per}"
    metadata = {
        "limit": name,
        "quantity": meter.quantity,
        "most": f"{charge.limit:g}",
        "used": f"{used:g}",
        "amount": f"{charge.amount:g}",
    }
    unit, most = ("$", f"${charge.limit:g}") if meter.is_budget else ("", f"{charge.limit:g}")
    message = (
        f"limit {name}: {unit}{used:.6g} of {most} {meter.quantity.removeprefix('usd_')}{whose} are used or reserved, "
        f"and this call needs {unit}{charge.amount:.6g}"
    )
    if refusal.retry_after_s is None:
        message += "; it is more than the limit allows at all: send fewer documents"
    reason = Reason.BUDGET_EXCEEDED if meter.is_budget else Reason.RATE_LIMITED
    raise ServiceError(
        reason,
        message,
        metadata=metadata,
        retry_after_s=refusal.retry_after_s,
        is_final=refusal.retry_after_s is None,
        response_metadata=headers,
    )


def _tell_rate(
    metadata: dict[str, str], charges: Sequence[Charge], used: Sequence[float], shown: Sequence[int]
) -> None:
    """Add the `RateLimit-*` headers of the limit that has the smallest share left, of those that are shown."""
    number = shown[0] if len(shown) == 1 else max(shown, key=lambda each: used[each] / charges[each].limit)
    limit = charges[number][1]
    remaining = limit - used[number]
    metadata["ratelimit-limit"], metadata["ratelimit-policy"] = _limit_headers(limit)
    metadata["ratelimit-remaining"] = str(int(remaining)) if remaining > 0 else "0"
    metadata["ratelimit-reset"] = str(math.ceil(MINUTE.remaining_s(time.time())))


@lru_cache(maxsize=1024)
def _limit_headers(limit: float) -> tuple[str, str]:
    return str(math.floor(limit)), f"{math.floor(limit)};w=60"


def _warn(response: messages.RerankResponse, meters: Mapping[str, Meter], lease: Lease) -> None:
    """Tell the caller of soft budgets that are passed."""
    if response.meta is None:
        return
    for charge, used in zip(lease.charges, lease.used, strict=True):
        meter = meters[charge.meter]
        if meter.soft is not None and used > meter.soft:
            response.meta.warnings.append(
                f"budget {meter.limit.name}: ${used:.6g} are used or reserved, more than the soft limit of "
                f"${meter.soft:g}; calls are refused at ${meter.most:g}"
            )
