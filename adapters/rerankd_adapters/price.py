"""What a call cost, where the provider publishes prices but does not say."""

from __future__ import annotations

from rerankd_adapters.call import ProviderReply
from rerankd_adapters.provider import Price


def cost_usd(price: Price | None, reply: ProviderReply) -> float | None:
    """Return the price of a reply in US dollars, `None` when its units or their price are not known."""
    if price is None:
        return None
    units = reply.search_units if price.unit == "search_unit" else reply.prompt_tokens + reply.completion_tokens
    return units * price.usd_per_million / 1_000_000 if units else None
