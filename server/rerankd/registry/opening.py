"""Stored rerankers as one part: the table, what runs of it, its changes, and its totals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from rerankd.contract.service import RerankerService, RerankService
from rerankd.registry.lazy_table import LazyRerankerTable
from rerankd.registry.listing import RerankerListing
from rerankd.registry.live_rerankers import LiveRerankers
from rerankd.registry.loading import LoadedRerankers
from rerankd.registry.reranker_registry import RerankerRegistry
from rerankd.registry.reranker_service import StoredRerankerService
from rerankd.registry.settings import RegistrySettings
from rerankd.registry.totals_sink import TotalsSink
from rerankd.registry.trial import RunningEngine
from rerankd.runs.run_reading import ReadableRuns, RunReading
from rerankd.store.opening import LazyDatabase
from rerankd.telemetry.calls.recorder import Sink


class ServingEngine(RunningEngine, Protocol):
    """The engine that serves stored rerankers."""

    def use_stored(self, stored: LoadedRerankers) -> None:
        """Take stored rerankers for new calls."""
        ...

    def reranker_of(self, name: str) -> str:
        """Return the key of the reranker that a requested model name leads to; empty for another model."""
        ...


class Registry:
    """Stored rerankers of one process. For one event loop.

    Args:
        settings: Bounds; those of the poll stay as they are.
        database: The store; its creator closes it.
        engine: Serves them.
    """

    def __init__(self, settings: Callable[[], RegistrySettings], database: LazyDatabase, engine: ServingEngine) -> None:
        table = LazyRerankerTable(database)
        self._live = LiveRerankers(table, engine.use_stored, settings().poll_s)
        self._totals = TotalsSink(table, engine.reranker_of)
        self.changes = RerankerRegistry(table, engine, settings, self._live.refresh)
        """Creates, changes and deletes."""
        self.listing = RerankerListing(table, engine)
        """Reads."""

    def service(self, rerank_service: RerankService, logged: ReadableRuns) -> RerankerService:
        """Return the service for callers who have been admitted.

        Args:
            rerank_service: Answers runs.
            logged: Logged runs.
        """
        return StoredRerankerService(self.changes, self.listing, rerank_service, RunReading(logged))

    @property
    def sink(self) -> Sink:
        """Takes ended calls, for the totals."""
        return self._totals

    async def start(self) -> None:
        """Take the rerankers of the store, before the first call."""
        await self._live.start()
        self._totals.start()

    async def close(self) -> None:
        """Stop reading, and store the totals."""
        await self._live.close()
        await self._totals.close()
