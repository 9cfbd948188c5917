"""Cost estimation from published prices, for providers that do not report cost."""

from __future__ import annotations

from rerankd_adapters.call import RoutedReply
from rerankd_adapters.capability import ChatPrice, Price


def cost_usd(price: Price | None, reply: RoutedReply) -> float | None:
    """Return the cost of a reply in US dollars; `None` if its units or their price are unknown."""
    if price is None:
        return None
    if price.unit == "call":
        return price.usd_per_million / 1_000_000
    if price.unit == "search_unit":
        return reply.search_units * price.usd_per_million / 1_000_000 if reply.search_units else None
    if not reply.prompt_tokens and not reply.completion_tokens:
        return None
    output = price.output_usd_per_million if isinstance(price, ChatPrice) else price.usd_per_million
    return (reply.prompt_tokens * price.usd_per_million + reply.completion_tokens * output) / 1_000_000
