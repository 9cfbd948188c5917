"""Cost estimation from published prices, for providers that do not report cost."""

from __future__ import annotations

from rerankd_adapters.call import ProviderReply
from rerankd_adapters.provider import Price


def cost_usd(price: Price | None, reply: ProviderReply) -> float | None:
    """Return the cost of a reply in US dollars; `None` if its units or their price are unknown."""
    if price is None:
        return None
    units = reply.search_units if price.unit == "search_unit" else reply.prompt_tokens + reply.completion_tokens
    return units * price.usd_per_million / 1_000_000 if units else None
