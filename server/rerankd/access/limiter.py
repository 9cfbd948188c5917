"""Limits and budgets as one part: ledger, limits of callers, budgets of providers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

from rerankd.access.limits.limited_service import LimitedService, Quoting, limits_of
from rerankd.access.limits.opening import open_ledger
from rerankd.access.limits.provider_budgets import ProviderBudgets
from rerankd.access.settings import AccessSettings
from rerankd.contract.service import RerankService
from rerankd.engine.routing.deployment import Deployment
from rerankd.telemetry.calls.recorder import Sink


class Limiter:
    """Counts calls and money. For one event loop; opens nothing while the settings limit nothing.

    Args:
        settings: Limits, budgets and ledger; those of the ledger stay.
        state_directory: Folder of the ledger's file unless the settings name one.
        deployments: Returns the deployments in use now.
    """

    def __init__(
        self,
        settings: AccessSettings,
        state_directory: Path,
        deployments: Callable[[], Iterable[Deployment]],
    ) -> None:
        self._settings = settings
        self._limits = limits_of(settings.limits, settings.ledger)
        self._ledger = open_ledger(settings.ledger, state_directory)
        self._provider_budgets = ProviderBudgets(self._ledger, lambda: self._settings.provider_budgets, deployments)
        self._starting: asyncio.Task[None] | None = None

    @property
    def sink(self) -> Sink:
        """Takes ended calls, for what they cost."""
        return self._provider_budgets

    def wrap(self, service: RerankService, quoting: Quoting) -> RerankService:
        """Return `service` within the limits."""
        return LimitedService(service, lambda: self._limits, self._ledger, quoting)

    def use(self, settings: AccessSettings) -> None:
        """Take new limits and budgets for new calls."""
        self._settings = settings
        self._limits = limits_of(settings.limits, settings.ledger)
        self._start()

    async def start(self) -> None:
        """Open the ledger if anything is limited."""
        self._start()
        if self._starting is not None:
            await self._starting

    async def close(self) -> None:
        """Release what is reserved, and close the ledger."""
        if self._starting is not None:
            await self._starting
            await self._provider_budgets.close()
            await self._ledger.close()

    def _start(self) -> None:
        is_limited = self._settings.limits or self._settings.provider_budgets
        if is_limited and self._starting is None:
            self._starting = asyncio.create_task(self._open(), name="limiter-start")

    async def _open(self) -> None:
        await self._ledger.start()
        self._provider_budgets.start()
