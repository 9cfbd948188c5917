"""Facts of a response beside its body: HTTP headers, gRPC trailing metadata."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote

from rerankd.contract.call_context import CallContext
from rerankd.contract.messages import ExtraFields, RerankResponse

PROVIDER: Final = "rerankd-provider"
MODEL: Final = "rerankd-model"
COST: Final = "rerankd-cost"
CACHE: Final = "rerankd-cache"
TIMING: Final = "server-timing"


def response_headers(response: Any, call: CallContext) -> list[tuple[str, str]]:
    """List what layers below the transport set; model, provider, cost in US dollars if known, cache state, timing.

    The cache state is `hit` when every score came from the cache, `partial` when some did, else `miss`. Values are
    printable ASCII; other characters are percent-encoded.

    Returns:
        Pairs of lower-case name and value; the response's own only for a `RerankResponse`.
    """
    headers = [*call.response_metadata.items()]
    if not isinstance(response, RerankResponse):
        return headers
    headers.append((MODEL, printable(response.model)))
    extra = response.extra_fields
    if extra is not None:
        headers += [(PROVIDER, printable(extra.provider)), (TIMING, server_timing(extra))]
    usage = response.usage
    if usage is not None:
        if usage.cost is not None:
            headers.append((COST, f"{usage.cost:.9f}".rstrip("0").rstrip(".") or "0"))
        is_all = usage.cached_documents >= usage.documents
        headers.append((CACHE, ("hit" if is_all else "partial") if usage.cached_documents else "miss"))
    return headers


def raw_response_headers(response: Any, call: CallContext) -> list[tuple[bytes, bytes]]:
    """List the same as ASGI wants headers: names and values as bytes."""
    return [(name.encode(), value.encode()) for name, value in response_headers(response, call)]


def server_timing(extra: ExtraFields) -> str:
    """Format the value of `Server-Timing`, durations in milliseconds.

    Where `extra` lists chunks, the longest chunk counts as the provider's part, since chunks are sent concurrently.
    """
    if not extra.chunks:
        return f"total;dur={extra.latency:.3f}"
    provider_ms = max(chunk.latency_ms for chunk in extra.chunks)
    own_ms = max(0.0, extra.latency - provider_ms)
    return f"total;dur={extra.latency:.3f}, provider;dur={provider_ms:.3f}, rerankd;dur={own_ms:.3f}"


@lru_cache(maxsize=256)
def printable(value: str) -> str:
    """Return a value in printable ASCII; other characters are percent-encoded."""
    return value if value.isascii() and value.isprintable() else quote(value, safe="/@:#*+ ")
