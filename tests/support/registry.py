"""A registry over the real store and an engine host, for tests."""

from __future__ import annotations

from typing import Any

from rerankd.registry.lazy_table import LazyRerankerTable
from rerankd.registry.listing import RerankerListing
from rerankd.registry.live_rerankers import LiveRerankers
from rerankd.registry.reranker_registry import RerankerRegistry
from rerankd.registry.settings import RegistrySettings
from rerankd.registry.stored_reranker import RerankerContent
from rerankd.serving.engine_host import EngineHost
from rerankd.settings import Settings
from rerankd.store.opening import LazyDatabase
from rerankd.store.settings import StoreSettings


def content(name: str = "Docs search", model: str = "local/bm25", **more: Any) -> RerankerContent:
    """Make a reranker of the strategy dedicated-model; `more` are other fields."""
    return RerankerContent(**{"name": name, "strategy": "dedicated-model", "config": {"model": model}, **more})


def fusion(*models: str, **more: Any) -> RerankerContent:
    """Make a reranker that fuses models."""
    config = {"members": [{"model": model} for model in models]}
    return content(strategy="fusion", config=config, **more)


class Replica:
    """One process's registry: engine host, live rerankers, changes and listing. Its creator closes it.

    Args:
        store: Shared by replicas.
        settings: Of the host.
        registry: Of the registry.
    """

    def __init__(
        self, store: StoreSettings, settings: Settings | None = None, registry: RegistrySettings | None = None
    ) -> None:
        self.database = LazyDatabase(store)
        self.host = EngineHost(settings or Settings(), {})
        self.table = LazyRerankerTable(self.database)
        self.live = LiveRerankers(self.table, self.host.use_stored)
        bounds = registry or RegistrySettings()
        self.changes = RerankerRegistry(self.table, self.host, lambda: bounds, self.live.refresh)
        self.listing = RerankerListing(self.table, self.host)

    async def close(self) -> None:
        """Close the host and the store."""
        await self.host.close()
        await self.database.close()
