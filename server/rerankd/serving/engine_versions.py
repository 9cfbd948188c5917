"""What new settings replace while the service runs, and the switch from one to the next.

Both transports hold `EngineVersions` in the place of an engine. A call stays with the version it began in; an item of a
batch stream is a call, so a stream of hours takes new settings up and holds no old ones.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from rerankd.contract import messages
from rerankd.contract.call_context import CallContext
from rerankd.contract.service import RerankService
from rerankd.engine.routing.deployment import Deployment
from rerankd.http.transport import HttpTransport
from rerankd.settings import Settings
from rerankd_adapters.base import ModelProvider

_log = structlog.get_logger("rerankd.serving")


class Resource(Protocol):
    """Something with connections of its own."""

    async def close(self) -> None:
        """Let them go."""


class ServedEngine(RerankService, Protocol):
    """What a version answers calls with."""

    def deployments(self) -> Iterable[Deployment]:
        """List the deployments of the models in use."""
        ...

    def reachable(self, request: messages.RerankRequest) -> Iterable[Deployment]:
        """List the deployments that a request may use."""
        ...


@dataclass(eq=False, slots=True)
class EngineVersion:
    """All that is made of one state of the settings."""

    settings: Settings
    engine: ServedEngine
    transport: HttpTransport
    deployments: Sequence[ModelProvider]
    """Of providers reached over a network; may belong to several versions, as the transport may."""
    calls: int = 0
    """Under way in this version."""
    idle: asyncio.Event | None = field(default=None)
    """Set when the last call has ended; there only once the version is replaced."""

    @property
    def resources(self) -> list[Resource]:
        """Whatever must be closed, in that order."""
        return [*self.deployments, self.transport]


class EngineVersions:
    """Hands each call to the current version; closes a replaced one when its last call has ended.

    Satisfies `RerankService`. For one event loop.
    """

    def __init__(self, first: EngineVersion) -> None:
        self._current = first
        self._retired: dict[asyncio.Task[None], EngineVersion] = {}
        self._holders: Counter[Resource] = Counter(first.resources)

    @property
    def current(self) -> EngineVersion:
        """The one that takes the next call."""
        return self._current

    async def rerank(self, request: messages.RerankRequest, call: CallContext) -> messages.RerankResponse:
        """Rerank with the current version, which stays open for it."""
        version = self._current
        version.calls += 1
        try:
            return await version.engine.rerank(request, call)
        finally:
            version.calls -= 1
            if version.idle is not None and not version.calls:
                version.idle.set()

    async def list_models(self, request: messages.ListModelsRequest, call: CallContext) -> messages.ListModelsResponse:
        """List the models of the current version."""
        return await self._current.engine.list_models(request, call)

    async def get_model(self, request: messages.GetModelRequest, call: CallContext) -> messages.GetModelResponse:
        """Return a model of the current version."""
        return await self._current.engine.get_model(request, call)

    def replace(self, new: EngineVersion) -> None:
        """Give every further call to `new`; the old version finishes its calls, then is closed."""
        old, self._current = self._current, new
        self._holders.update(new.resources)
        old.idle = asyncio.Event()
        if not old.calls:
            old.idle.set()
        task = asyncio.create_task(self._retire(old, old.idle))
        self._retired[task] = old
        task.add_done_callback(self._retired.pop)

    async def close(self) -> None:
        """Close all versions, whatever is under way in them."""
        for version in self._retired.values():
            if version.idle is not None:
                version.idle.set()
        await asyncio.gather(*self._retired)
        await self._release(self._current)

    async def _retire(self, version: EngineVersion, idle: asyncio.Event) -> None:
        await idle.wait()
        await self._release(version)

    async def _release(self, version: EngineVersion) -> None:
        """Close what no other version holds."""
        for resource in version.resources:
            self._holders[resource] -= 1
            if self._holders[resource] > 0:
                continue
            del self._holders[resource]
            try:
                await resource.close()
            except Exception:
                _log.exception("could not close a connection of a replaced version")
