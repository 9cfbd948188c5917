"""Estimates what a request will use and cost, before anything is sent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from rerankd.contract.messages import Document, RerankRequest
from rerankd.engine.scoring.planner import SEARCH_UNIT_DOCUMENTS
from rerankd.engine.scoring.tokens import ESTIMATE
from rerankd_adapters.base import Price
from rerankd_adapters.capability import ChatPrice

_MILLION: Final = 1_000_000
_TOKENS_PER_BILLED_DOCUMENT: Final = 500
"""Providers that bill search units count a longer document several times (Cohere, 2026)."""
_CHAT_TOKENS_PER_DOCUMENT: Final = 200
"""Tokens of the prompt around a document that is judged by itself."""
_CHAT_TOKENS_WRITTEN: Final = 16
"""For each document."""


class Estimate(NamedTuple):
    """Expected use of a request by one model; rarely low, see `scoring.tokens.EstimatedTokens`."""

    tokens: int
    """Tokens of all documents, each with the query."""
    usd: float
    """Cost; 0 if the model's price is not known."""


NOTHING: Final = Estimate(0, 0.0)
"""Of a request that no model will take, or of one whose money alone counts and has no price."""


class Needed(IntEnum):
    """What is wanted of an estimate; tokens take time for every document, money where a price counts them."""

    NOTHING = 0
    MONEY = 1
    TOKENS = 2
    """Tokens and money."""


class Quote(NamedTuple):
    """The model of a call, and its expected use."""

    model: str
    """Public name of the model, without aliases; as requested where nothing serves it."""
    estimate: Estimate | None
    """What it will use; `None` where nobody asked for it."""


def estimate(query: str, texts: Sequence[str], price: Price | None) -> Estimate:
    """Estimate the use of a request by a model of a price.

    Args:
        query: The query.
        texts: n documents, n >= 0.
        price: Price of the model; `None` if it has none or it is not known.
    """
    asked = ESTIMATE.count(query)
    sizes = [asked + ESTIMATE.count(text) for text in texts]
    if isinstance(price, ChatPrice):
        return _chat_estimate(sizes, price)
    tokens = sum(sizes)
    return Estimate(tokens, 0.0 if price is None else _usd(price, sizes, tokens))


def texts_of(request: RerankRequest) -> list[str]:
    """Return the documents of a request as texts to count: objects with all their fields, as none is rendered yet."""
    return [document if isinstance(document, str) else _text_of(document) for document in request.documents]


def _text_of(document: Document) -> str:
    return " ".join([document.text, *(str(value) for value in (document.fields or {}).values())])


def _chat_estimate(sizes: Sequence[int], price: ChatPrice) -> Estimate:
    """Estimate the use of a chat model that reads each document twice, as the listwise strategy does in its finals."""
    written = _CHAT_TOKENS_WRITTEN * len(sizes)
    read = 2 * (sum(sizes) + _CHAT_TOKENS_PER_DOCUMENT * len(sizes))
    usd = (read * price.usd_per_million + written * price.output_usd_per_million) / _MILLION
    return Estimate(read + written, usd)


def _usd(price: Price, sizes: Sequence[int], tokens: int) -> float:
    if price.unit == "call":
        units = 1
    elif price.unit == "search_unit":
        if max(sizes, default=0) <= _TOKENS_PER_BILLED_DOCUMENT:
            billed = len(sizes)
        else:
            billed = sum(max(1, math.ceil(size / _TOKENS_PER_BILLED_DOCUMENT)) for size in sizes)
        units = math.ceil(billed / SEARCH_UNIT_DOCUMENTS)
    else:
        units = tokens
    return units * price.usd_per_million / _MILLION
