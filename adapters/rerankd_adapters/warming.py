"""Document vectors computed ahead: the reply, and the protocol of providers that can. Plain data, no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import msgspec

from rerankd_adapters.call import ProviderCall


class WarmReply(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the documents; every one is counted once."""

    warmed: int = 0
    """Documents whose vectors were computed and are kept now."""
    already_warm: int = 0
    """Documents whose vectors were kept already."""
    skipped: int = 0
    """Documents for whose vectors there was no room."""
    warnings: Sequence[str] = ()
    """For the caller, one sentence each."""


@runtime_checkable
class WarmingProvider(Protocol):
    """What a `ModelProvider` that keeps document vectors has in addition."""

    async def warm(self, call: ProviderCall) -> WarmReply:
        """Compute and keep the vectors of the documents of `call`, whose query is empty. Task-safe.

        Vectors computed before a deadline or a cancellation are kept.

        Raises:
            AdapterError: `UNSUPPORTED` for a model that has no document vectors; otherwise as `ModelProvider.rerank`.
        """
        ...
