"""Engine versions: replaces the engine on reload without dropping calls.

A call finishes in the version it began in. Each item of a batch stream is a call, so a long stream uses new settings
and holds no old version.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from rerankd.contract import messages
from rerankd.contract.call_context import CallContext
from rerankd.contract.service import RerankService
from rerankd.engine.models import Models
from rerankd.engine.routing.deployment import Deployment
from rerankd.engine.scoring.estimate import Needed, Quote
from rerankd.http.transport import HttpTransport
from rerankd.registry.loading import LoadedRerankers
from rerankd.settings import Settings
from rerankd_adapters.base import ModelProvider

_log = structlog.get_logger("rerankd.serving")


class Resource(Protocol):
    """Something with connections to close."""

    async def close(self) -> None:
        """Close the connections."""


class ServedEngine(RerankService, Protocol):
    """The engine of a version, with its deployments."""

    @property
    def models(self) -> Models:
        """Resolves model names."""
        ...

    def with_models(self, models: Models) -> ServedEngine:
        """Return an engine with other models that shares everything else with this one."""
        ...

    def deployments(self) -> Iterable[Deployment]:
        """Return the deployments of the cached model groups."""
        ...

    def quote(self, request: messages.RerankRequest, needed: Needed) -> Quote:
        """Return the model that a request asks for, and what it is expected to use."""
        ...

    def reachable(self, request: messages.RerankRequest) -> Iterable[Deployment]:
        """Return the deployments that a request may use."""
        ...


@dataclass(eq=False, slots=True)
class EngineVersion:
    """Everything built from one version of the settings."""

    settings: Settings
    engine: ServedEngine
    transport: HttpTransport
    deployments: Sequence[ModelProvider]
    """Providers over a network; they and the transport may be shared with other versions."""
    stored: LoadedRerankers = LoadedRerankers()
    """Stored rerankers that the engine serves."""
    problems: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Why some of these cannot be served, by key."""
    calls: int = 0
    """Calls in flight in this version."""
    idle: asyncio.Event | None = field(default=None)
    """Set when the last call has ended; `None` until the version is replaced."""

    def leave(self) -> None:
        """End a call that was counted."""
        self.calls -= 1
        if self.idle is not None and not self.calls:
            self.idle.set()

    @property
    def resources(self) -> list[Resource]:
        """Everything to close, in that order."""
        return [*self.deployments, self.transport]


class EngineVersions:
    """Delegates calls to the current version; closes a replaced one when its last call has ended.

    Satisfies `RerankService`. For one event loop.
    """

    def __init__(self, first: EngineVersion) -> None:
        self._current = first
        self._retired: dict[asyncio.Task[None], EngineVersion] = {}
        self._reference_counts: Counter[Resource] = Counter(first.resources)

    @property
    def current(self) -> EngineVersion:
        """The version of new calls."""
        return self._current

    def quote(self, request: messages.RerankRequest, needed: Needed) -> Quote:
        """Return what a request would use of the current version."""
        return self._current.engine.quote(request, needed)

    async def rerank(self, request: messages.RerankRequest, call: CallContext) -> messages.RerankResponse:
        """Rerank with the current version, which stays open until the call ends."""
        version = self._current
        version.calls += 1
        try:
            return await version.engine.rerank(request, call)
        finally:
            version.leave()

    async def warm_documents(
        self, request: messages.WarmDocumentsRequest, call: CallContext
    ) -> messages.WarmDocumentsResponse:
        """Compute vectors with the current version, which stays open until the call ends."""
        version = self._current
        version.calls += 1
        try:
            return await version.engine.warm_documents(request, call)
        finally:
            version.leave()

    async def list_models(self, request: messages.ListModelsRequest, call: CallContext) -> messages.ListModelsResponse:
        """List the models of the current version."""
        return await self._current.engine.list_models(request, call)

    async def get_model(self, request: messages.GetModelRequest, call: CallContext) -> messages.GetModelResponse:
        """Return a model of the current version."""
        return await self._current.engine.get_model(request, call)

    def replace(self, new: EngineVersion) -> None:
        """Make `new` the current version; the old one is closed when its calls have ended."""
        old, self._current = self._current, new
        self._reference_counts.update(new.resources)
        old.idle = asyncio.Event()
        if not old.calls:
            old.idle.set()
        task = asyncio.create_task(self._retire(old, old.idle))
        self._retired[task] = old
        task.add_done_callback(self._retired.pop)

    async def close(self) -> None:
        """Close all versions; calls in flight fail."""
        for version in self._retired.values():
            if version.idle is not None:
                version.idle.set()
        await asyncio.gather(*self._retired)
        await self._release(self._current)

    async def _retire(self, version: EngineVersion, idle: asyncio.Event) -> None:
        await idle.wait()
        await self._release(version)

    async def _release(self, version: EngineVersion) -> None:
        """Release the resources of a version; close those that no other version holds."""
        for resource in version.resources:
            self._reference_counts[resource] -= 1
            if self._reference_counts[resource] > 0:
                continue
            del self._reference_counts[resource]
            try:
                await resource.close()
            except Exception:  # the other connections are closed all the same
                _log.exception("could not close a connection of a replaced version")
