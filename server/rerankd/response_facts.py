"""What both transports say of an answer beside it: HTTP headers, gRPC trailing metadata."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from rerankd.contract.messages import ExtraFields, RerankResponse

PROVIDER: Final = "rerankd-provider"
MODEL: Final = "rerankd-model"
COST: Final = "rerankd-cost"
CACHE: Final = "rerankd-cache"
TIMING: Final = "server-timing"


def response_facts(response: Any) -> list[tuple[str, str]]:
    """Name the provider, the model, the cost in US dollars where it is known, the cache's state and what time it took.

    The cache's is `hit` when no document was asked for, `partial` when some were, else `miss`. Values are printable
    ASCII; other characters are percent-encoded. Empty for anything but the answer to `Rerank`.
    """
    if not isinstance(response, RerankResponse):
        return []
    facts = [(MODEL, _printable(response.model))]
    extra = response.extra_fields
    if extra is not None:
        facts += [(PROVIDER, _printable(extra.provider)), (TIMING, server_timing(extra))]
    usage = response.usage
    if usage is not None:
        if usage.cost is not None:
            facts.append((COST, f"{usage.cost:.9f}".rstrip("0").rstrip(".") or "0"))
        is_all = usage.cached_documents >= usage.documents
        facts.append((CACHE, ("hit" if is_all else "partial") if usage.cached_documents else "miss"))
    return facts


def server_timing(extra: ExtraFields) -> str:
    """Write `Server-Timing`: the whole call, and where chunks are listed the longest of them and the rest.

    Chunks are sent side by side, so the longest is what was waited for.
    """
    if not extra.chunks:
        return f"total;dur={extra.latency:.3f}"
    provider_ms = max(chunk.latency_ms for chunk in extra.chunks)
    own_ms = max(0.0, extra.latency - provider_ms)
    return f"total;dur={extra.latency:.3f}, provider;dur={provider_ms:.3f}, rerankd;dur={own_ms:.3f}"


def _printable(value: str) -> str:
    return value if value.isascii() and value.isprintable() else quote(value, safe="/@:#*+ ")
