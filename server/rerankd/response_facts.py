"""What both transports say of an answer beside it: HTTP headers, gRPC trailing metadata."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from rerankd.contract import RerankResponse

PROVIDER: Final = "rerankd-provider"
MODEL: Final = "rerankd-model"
COST: Final = "rerankd-cost"
CACHE: Final = "rerankd-cache"


def response_facts(response: Any) -> list[tuple[str, str]]:
    """Name the provider, the model, the cost in US dollars where it is known, and the state of the cache.

    The cache's is `hit` when no document was asked for, `partial` when some were, else `miss`. Values are printable
    ASCII; other characters are percent-encoded. Empty for anything but the answer to `Rerank`.
    """
    if not isinstance(response, RerankResponse):
        return []
    facts = [(MODEL, _printable(response.model))]
    if response.extra_fields is not None:
        facts.append((PROVIDER, _printable(response.extra_fields.provider)))
    usage = response.usage
    if usage is not None:
        if usage.cost is not None:
            facts.append((COST, f"{usage.cost:.9f}".rstrip("0").rstrip(".") or "0"))
        is_all = usage.cached_documents >= usage.documents
        facts.append((CACHE, ("hit" if is_all else "partial") if usage.cached_documents else "miss"))
    return facts


def _printable(value: str) -> str:
    return value if value.isascii() and value.isprintable() else quote(value, safe="/@:#*+ ")
