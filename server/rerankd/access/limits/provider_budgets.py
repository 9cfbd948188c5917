"""Budgets of providers: a provider whose budget is spent is taken out of routing until the window has room again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import structlog

from rerankd.access.limits.ledger import Charge, Lease, Ledger, LedgerUnavailableError, Reading
from rerankd.access.limits.settings import BudgetSettings
from rerankd.access.limits.windows import Span, Window
from rerankd.engine.routing.deployment import Deployment
from rerankd.telemetry.calls.recorder import EndedBatch
from rerankd.telemetry.calls.watches import AttemptWatch
from rerankd_adapters.base import AdapterError, AdapterErrorKind

_CHECK_S: Final = 2.0
"""Seconds between looks at what other workers and replicas have spent; a suspension lasts for two of them."""

_log = structlog.get_logger("rerankd.access")


class ProviderBudgets:
    """Adds up what provider calls cost, and suspends the deployments of providers whose budget is spent.

    What a provider call costs is known when it ends, so a budget is overrun by the calls in flight. Satisfies `Sink`.
    For one event loop; `consume` may be called in another thread.

    Args:
        ledger: Counts.
        budgets: Returns the current budgets by provider.
        deployments: Returns the deployments in use now.
    """

    name = "provider_budgets"
    needs_texts = None
    is_prompt = False

    def __init__(
        self,
        ledger: Ledger,
        budgets: Callable[[], Mapping[str, Sequence[BudgetSettings]]],
        deployments: Callable[[], Iterable[Deployment]],
    ) -> None:
        self._ledger = ledger
        self._budgets = budgets
        self._deployments = deployments
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._has_spent = asyncio.Event()
        self._spent: dict[str, float] = {}
        self._suspended: set[str] = set()

    def start(self) -> None:
        """Begin; the ledger has been started."""
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._run(), name="provider-budgets")

    async def close(self) -> None:
        """Count what is left, and end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._count()

    def consume(self, batch: EndedBatch) -> None:
        """See `Sink`."""
        if self._loop is None or self._loop.is_closed() or not self._budgets():
            return
        attempts = [attempt for call in batch.calls for attempt in call.attempts]
        if spent := _spent_by([*attempts, *batch.late_attempts]):
            self._loop.call_soon_threadsafe(self._add, spent)

    def _add(self, spent: Mapping[str, float]) -> None:
        for provider, usd in spent.items():
            self._spent[provider] = self._spent.get(provider, 0.0) + usd
        self._has_spent.set()

    async def _run(self) -> None:
        while True:
            self._count()
            await self._check()
            self._has_spent.clear()
            try:
                async with asyncio.timeout(_CHECK_S):
                    await self._has_spent.wait()
            except TimeoutError:
                continue

    def _count(self) -> None:
        """Put what was spent into the ledger."""
        spent, self._spent = self._spent, {}
        for provider, usd in spent.items():
            charges = _charges(provider, self._budgets().get(provider, ()))
            if charges:
                self._ledger.settle(Lease(charges, [0.0] * len(charges)), [usd] * len(charges))

    async def _check(self) -> None:
        """Suspend the deployments of every provider whose budget is spent."""
        budgets = self._budgets()
        for provider, each in budgets.items():
            charges = _charges(provider, each)
            try:
                readings = await self._ledger.read(charges)
            except LedgerUnavailableError:
                continue
            spent = next((reading for reading in readings if reading.used >= reading.charge.limit), None)
            if spent is None:
                self._resume(provider)
            else:
                self._suspend(provider, spent)
        for provider in self._suspended - budgets.keys():
            self._resume(provider)

    def _suspend(self, provider: str, spent: Reading) -> None:
        cause = AdapterError(
            AdapterErrorKind.UNAVAILABLE,
            f"{provider} is over its budget: ${spent.used:.6g} of ${spent.charge.limit:g} are spent",
        )
        for deployment in self._deployments():
            if deployment.provider.name == provider:
                deployment.breaker.suspend(cause, 2 * _CHECK_S)
        if provider not in self._suspended:
            self._suspended.add(provider)
            _log.warning("provider_budget_spent", provider=provider, meter=spent.charge.meter, usd=spent.used)

    def _resume(self, provider: str) -> None:
        if provider in self._suspended:
            self._suspended.discard(provider)
            _log.info("provider_budget_has_room", provider=provider)


def _charges(provider: str, budgets: Sequence[BudgetSettings]) -> list[Charge]:
    return [
        Charge(
            f"provider:usd_per_{budget.window}_{budget.per}:{provider}",
            budget.usd,
            0.0,
            Window(Span(budget.per), is_calendar=budget.window == "calendar"),
        )
        for budget in budgets
    ]


def _spent_by(attempts: Iterable[AttemptWatch]) -> dict[str, float]:
    """Return what provider calls cost, by provider."""
    spent: dict[str, float] = {}
    for attempt in attempts:
        if attempt.reply is not None and attempt.reply.cost_usd:
            spent[attempt.provider] = spent.get(attempt.provider, 0.0) + attempt.reply.cost_usd
    return spent
