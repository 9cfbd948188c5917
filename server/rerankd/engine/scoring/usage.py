"""Usage of a request, and the cost that cached scores saved."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

from rerankd.contract.messages import Usage
from rerankd.engine.rendering import RenderedRequest
from rerankd.engine.scoring.model_result import ChunkCall
from rerankd.engine.scoring.planner import SEARCH_UNIT_DOCUMENTS
from rerankd.engine.scoring.tokens import ESTIMATE
from rerankd_adapters.base import Price

_MILLION: Final = 1_000_000
_COUNTS: Final = (
    "documents",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "search_units",
    "cached_documents",
)


def usage_of(request: RenderedRequest, calls: Sequence[ChunkCall], cached: int, price: Price | None) -> Usage:
    """Sum the usage of the provider calls of one model.

    Args:
        request: The request that was scored.
        calls: Every provider call.
        cached: Documents whose score came from the cache.
        price: Price of the model; `None` if it is not known.

    Returns:
        Usage; its `cost` is `None` if the cost of one of the calls is not known.
    """
    prompt_tokens = completion_tokens = search_units = 0
    cost: float | None = 0 if calls or price is not None else None
    for _, result in calls:
        reply = result.reply
        prompt_tokens += reply.prompt_tokens
        completion_tokens += reply.completion_tokens
        search_units += reply.search_units
        cost = None if cost is None or reply.cost_usd is None else cost + reply.cost_usd
    return Usage(
        documents=len(request.texts) + len(request.blank_indices),
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        total_tokens=prompt_tokens + completion_tokens,
        search_units=search_units,
        cost=cost,
        cached_documents=cached,
        saved_cost=_saved_cost(request, calls, cached, price) if cached and price is not None else None,
    )


def add_usage(total: Usage, usage: Usage) -> None:
    """Add `usage` to `total`, in place; what is not known adds nothing. Once for each item of a batch, so no loop."""
    total.documents += usage.documents
    total.prompt_tokens += usage.prompt_tokens
    total.completion_tokens += usage.completion_tokens
    total.total_tokens += usage.total_tokens
    total.search_units += usage.search_units
    total.cached_documents += usage.cached_documents
    if usage.cost is not None:
        total.cost = (total.cost or 0.0) + usage.cost
    if usage.saved_cost is not None:
        total.saved_cost = (total.saved_cost or 0.0) + usage.saved_cost


def sum_usage(parts: Iterable[Usage]) -> Usage:
    """Sum what the members of one reranker consumed; a document that several scored counts for each.

    Returns:
        Usage; its `cost` is `None` if that of any part is, and its `saved_cost` if no part has one.
    """
    total, cost, saved = Usage(), [], []
    for part in parts:
        for name in _COUNTS:
            setattr(total, name, getattr(total, name) + getattr(part, name))
        cost.append(part.cost)
        saved.append(part.saved_cost)
    known = [each for each in cost if each is not None]
    total.cost = sum(known) if len(known) == len(cost) else None
    saves = [each for each in saved if each is not None]
    total.saved_cost = sum(saves) if saves else None
    return total


def _saved_cost(request: RenderedRequest, calls: Sequence[ChunkCall], cached: int, price: Price) -> float:
    """Compute what scoring the cached documents would have cost, in USD; tokens are estimated."""
    total = len(request.texts)
    if price.unit == "search_unit":
        billed = sum(math.ceil(len(call.indices) / SEARCH_UNIT_DOCUMENTS) for call in calls)
        units = max(math.ceil(total / SEARCH_UNIT_DOCUMENTS) - billed, 0)
        return units * price.usd_per_million / _MILLION
    if price.unit == "call":
        return 0.0 if calls else price.usd_per_million / _MILLION
    tokens = sum(map(ESTIMATE.count, request.texts)) * cached / total + ESTIMATE.count(request.query) * cached
    return round(tokens) * price.usd_per_million / _MILLION
