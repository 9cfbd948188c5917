"""Which documents go into which provider call.

Pointwise models are split by the tightest of what the provider takes: documents, tokens, billing unit.
Listwise models are never split: a document's score depends on its company.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from rerankd.engine.router import Target
from rerankd.errors import FieldViolation, Reason, ServiceError
from rerankd_adapters.base import Capabilities, Scoring

SEARCH_UNIT_DOCUMENTS: Final = 100
"""Documents one search unit covers; smaller chunks would be billed as if they were full."""
CHARS_PER_TOKEN: Final = 3.0
"""Estimate where the model's tokenizer is not at hand; low, so that the estimate of tokens is high."""


def plan_chunks(target: Target, query: str, documents: Sequence[str]) -> list[range]:
    """Split a request into provider calls.

    Args:
        target: The model, with its limits.
        query: Counted once for each document, as pairs are.
        documents: n texts, n >= 1.

    Returns:
        Ranges of document positions, in order, that cover every document once.

    Raises:
        ServiceError: `CAPABILITY_UNSUPPORTED` when the request is over the limits of a model that may not be
            split.
    """
    facts = target.info.capabilities
    chunks = _split(facts, query, documents)
    if len(chunks) > 1 and facts.scoring is not Scoring.POINTWISE:
        raise _not_splittable(target, len(documents))
    return chunks


def _split(facts: Capabilities, query: str, documents: Sequence[str]) -> list[range]:
    count = len(documents)
    size = _chunk_size(facts, count)
    if facts.max_total_tokens is None:
        return [range(start, min(start + size, count)) for start in range(0, count, size)]
    return _split_by_tokens(size, facts.max_total_tokens, query, documents)


def _chunk_size(facts: Capabilities, count: int) -> int:
    """Documents a chunk: even shares, in whole search units where those are billed."""
    most = facts.max_documents or count
    size = math.ceil(count / math.ceil(count / most))
    if facts.billing_unit == "search_unit" and most >= SEARCH_UNIT_DOCUMENTS and size < count:
        size = math.ceil(size / SEARCH_UNIT_DOCUMENTS) * SEARCH_UNIT_DOCUMENTS
        size = min(size, most - most % SEARCH_UNIT_DOCUMENTS)
    return size


def _split_by_tokens(size: int, most_tokens: int, query: str, documents: Sequence[str]) -> list[range]:
    query_tokens = estimate_tokens(query)
    chunks: list[range] = []
    start, tokens = 0, 0
    for position, document in enumerate(documents):
        cost = query_tokens + estimate_tokens(document)
        if position > start and (position - start == size or tokens + cost > most_tokens):
            chunks.append(range(start, position))
            start, tokens = position, 0
        tokens += cost
    chunks.append(range(start, len(documents)))
    return chunks


def estimate_tokens(text: str) -> int:
    """Estimate the tokens of a text from its length."""
    return math.ceil(len(text) / CHARS_PER_TOKEN)


def _not_splittable(target: Target, count: int) -> ServiceError:
    facts = target.info.capabilities
    limit = f"{facts.max_documents} documents" if facts.max_documents else f"{facts.max_total_tokens} tokens"
    why = "listwise" if facts.scoring is Scoring.LISTWISE else "not known to be pointwise"
    message = (
        f"{count} documents are over the limit of {target.name} ({limit} a call), and it is {why}, so the"
        " request cannot be split; send fewer documents"
    )
    return ServiceError(
        Reason.CAPABILITY_UNSUPPORTED,
        message,
        metadata={"model": target.name, "documents": str(count), "field": "documents"},
        violations=[FieldViolation("documents", message)],
    )
