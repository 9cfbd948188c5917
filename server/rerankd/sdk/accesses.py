"""Engines for calls that bring their own key or address, kept for the next such call."""

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
from rerankd.providers.opening import ProviderSettingsError
from rerankd.providers.settings import ProviderSettings
from rerankd.sdk.parameters import ProviderAccess
from rerankd.serving.engine_host import EngineHost
from rerankd_adapters.base import ModelProvider

MOST_KEPT: Final = 32
"""Accesses that are kept open; the one that was used longest ago goes first."""


@dataclass(slots=True)
class _Kept:
    service: RerankService
    provider: ModelProvider
    users: int = 0
    is_dropped: bool = False


class Accesses:
    """Keeps an engine for each way of reaching a provider. For one event loop."""

    def __init__(self, host: EngineHost) -> None:
        self._host = host
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    @asynccontextmanager
    async def use(self, access: ProviderAccess) -> AsyncIterator[RerankService]:
        """Hold the engine of an access for one call.

        Raises:
            ServiceError: `INVALID_REQUEST`: there is no such provider, or it needs more than was given.
        """
        key = _key(access)
        kept = self._kept.get(key)
        if kept is None:
            kept = self._kept[key] = self._open(access)
        self._kept.move_to_end(key)
        kept.users += 1
        try:
            while len(self._kept) > MOST_KEPT:
                await self._drop(self._kept.popitem(last=False)[1])
            yield kept.service
        finally:
            kept.users -= 1
            if kept.is_dropped:
                await self._drop(kept)

    async def close(self) -> None:
        """Close what is kept."""
        while self._kept:
            await self._kept.popitem()[1].provider.close()

    def _open(self, access: ProviderAccess) -> _Kept:
        configured = self._host.settings.providers.get(access.provider, ProviderSettings())
        options = msgspec.structs.replace(
            configured,
            api_key=access.api_key or configured.api_key,
            base_url=access.api_base or configured.base_url,
            headers={**configured.headers, **dict(access.headers)},
        )
        try:
            return _Kept(*self._host.open_variant(access.provider, options))
        except ProviderSettingsError as error:
            raise _unusable(access, str(error)) from None

    async def _drop(self, kept: _Kept) -> None:
        """Close an engine, or have its last call close it."""
        kept.is_dropped = True
        if not kept.users:
            await kept.provider.close()


def _key(access: ProviderAccess) -> bytes:
    # A digest, so that no secret is kept as a key of a dict beyond the deployment that needs it.
    parts = (access.provider, access.api_base, access.api_key, access.headers)
    return blake2b(msgspec.msgpack.encode(parts), digest_size=16).digest()


def _unusable(access: ProviderAccess, problem: str) -> Exception:
    prefix = f"providers.{access.provider}"
    for setting, name in ((".base_url", "api_base"), (".api_key", "api_key")):
        if problem.startswith(f"{prefix}{setting}"):
            return invalid_request([FieldViolation(name, name + problem.removeprefix(f"{prefix}{setting}"))])
    return invalid_request([FieldViolation("model", problem.removeprefix(f"{prefix}: "))])
