"""Pool of engines for calls that override a provider's key, address or headers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import msgspec

from rerankd.contract.errors import FieldViolation, invalid_request
from rerankd.contract.service import RerankService
from rerankd.providers.factory import ProviderSettingsError
from rerankd.providers.settings import ProviderSettings
from rerankd.sdk.parameters import ProviderOverride
from rerankd.serving.engine_host import EngineHost
from rerankd_adapters.base import ModelProvider

MAX_ENGINES: Final = 32
"""Maximum number of pooled engines; the least recently used one is closed first."""


@dataclass(slots=True)
class _PooledEngine:
    service: RerankService
    provider: ModelProvider
    users: int = 0
    is_dropped: bool = False


class EnginePool:
    """LRU pool with one engine per `ProviderOverride`. For one event loop, any number of tasks."""

    def __init__(self, host: EngineHost) -> None:
        self._host = host
        self._kept: OrderedDict[bytes, _PooledEngine] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    @asynccontextmanager
    async def use(self, override: ProviderOverride) -> AsyncIterator[RerankService]:
        """Borrow the engine of an override for one call.

        Raises:
            ServiceError: `INVALID_REQUEST`: there is no such provider, or the override lacks a required value.
        """
        key = _key(override)
        pooled = self._kept.get(key)
        if pooled is None:
            pooled = self._kept[key] = self._open(override)
        self._kept.move_to_end(key)
        pooled.users += 1
        try:
            while len(self._kept) > MAX_ENGINES:
                await self._drop(self._kept.popitem(last=False)[1])
            yield pooled.service
        finally:
            pooled.users -= 1
            if pooled.is_dropped:
                await self._drop(pooled)

    async def close(self) -> None:
        """Close all pooled engines."""
        while self._kept:
            await self._kept.popitem()[1].provider.close()

    def _open(self, override: ProviderOverride) -> _PooledEngine:
        if override.provider == self._host.local.name:
            raise _not_remote(override)
        configured = self._host.settings.providers.get(override.provider, ProviderSettings())
        options = msgspec.structs.replace(
            configured,
            api_key=override.api_key or configured.api_key,
            base_url=override.api_base or configured.base_url,
            headers={**configured.headers, **dict(override.headers)},
            tls=msgspec.structs.replace(configured.tls, **dict(override.tls)),
        )
        try:
            return _PooledEngine(*self._host.open_variant(override.provider, options))
        except ProviderSettingsError as error:
            raise _unusable(override, str(error)) from None

    async def _drop(self, pooled: _PooledEngine) -> None:
        """Close an evicted engine, now or when its last call ends."""
        pooled.is_dropped = True
        if not pooled.users:
            await pooled.provider.close()


def _key(override: ProviderOverride) -> bytes:
    # A digest, so that the API key is not kept in memory a second time as a dict key.
    parts = (override.provider, override.api_base, override.api_key, override.headers, override.tls)
    return blake2b(msgspec.msgpack.encode(parts), digest_size=16).digest()


def _not_remote(override: ProviderOverride) -> Exception:
    given = {"api_key": override.api_key, "api_base": override.api_base, "headers": override.headers}
    rules = [
        FieldViolation(
            name, f"{name} is for remote providers; {override.provider} models run in this process without it"
        )
        for name, value in given.items()
        if value
    ]
    return invalid_request(rules)


def _unusable(override: ProviderOverride, problem: str) -> Exception:
    prefix = f"providers.{override.provider}"
    for setting, name in ((".base_url", "api_base"), (".api_key", "api_key"), (".tls", "tls")):
        if problem.startswith(f"{prefix}{setting}"):
            return invalid_request([FieldViolation(name, name + problem.removeprefix(f"{prefix}{setting}"))])
    return invalid_request([FieldViolation("model", problem.removeprefix(f"{prefix}: "))])
