"""Which documents go into which provider call.

Pointwise models are split by the tightest of what the provider takes: documents, tokens, bytes, billing unit.
Others are not: a document's score depends, or may depend, on its company. Listwise models over their window go
through `engine.tournament`, whose window `listwise_window` reckons.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Final

import msgspec

from rerankd.contract.errors import FieldViolation, Reason, ServiceError
from rerankd.engine.scoring.tokens import ESTIMATE, TokenCounter
from rerankd_adapters.base import Capabilities, Scoring

SEARCH_UNIT_DOCUMENTS: Final = 100
"""Documents one search unit covers; smaller chunks would be billed as if they were full."""
ENVELOPE_BYTES: Final = 4096
"""Allowed for what a request's body holds besides query and documents."""
DOCUMENT_BYTES: Final = 100
"""Allowed for what stands around one document in a body."""
_MOST_JSON_BYTES: Final = 6
"""Bytes of one character in JSON, at most: a control character."""
_MOST_TOKENS: Final = 4
"""Tokens of one character, at most: one a byte."""
_EVENING_STEPS: Final = 6


def plan_chunks(
    capabilities: Capabilities, name: str, query: str, documents: Sequence[str], counter: TokenCounter = ESTIMATE
) -> list[range]:
    """Split a request into provider calls.

    No call has more documents, tokens or bytes than the provider takes, except that a document which is over a limit
    by itself goes alone. There are as few calls as consecutive documents allow, of about equal size; where 100
    documents are one billing unit, every call but the last has a multiple of 100 if it has room for 100 at all.

    Args:
        capabilities: What the model takes.
        name: Public name of the model, for the error: `provider/model`.
        query: Counted once for each document, as pairs are.
        documents: n texts, n >= 1.
        counter: Counts tokens; texts are counted only if their length leaves it open whether they fit.

    Returns:
        Ranges of document positions, in order, that cover every document once.

    Raises:
        ServiceError: `CAPABILITY_UNSUPPORTED` when the request is over the limits of a model that may not be split.
    """
    count = len(documents)
    if _surely_fits(capabilities, count):
        return [range(count)]
    limits = _limits(capabilities, query, documents, counter)
    chunks = limits.split(count)
    if len(chunks) > 1 and capabilities.scoring is not Scoring.POINTWISE:
        raise _not_splittable(capabilities, name, count)
    return _evened(limits, chunks, count) if len(chunks) > 1 else chunks


def listwise_window(
    capabilities: Capabilities, name: str, query: str, documents: Sequence[str], counter: TokenCounter = ESTIMATE
) -> int:
    """Return how many documents one call of a listwise model can hold, whichever documents they are.

    Args:
        capabilities: What the model takes.
        name: Public name of the model, for the error.
        query: Counted once for each document.
        documents: n texts, n >= 1.
        counter: Counts tokens.

    Returns:
        n when one call holds all of them; else 2 to n - 1, so small that even the longest documents fit together.

    Raises:
        ServiceError: `CAPABILITY_UNSUPPORTED` when two of the documents do not fit into one call.
    """
    count = len(documents)
    if _surely_fits(capabilities, count):
        return count
    limits = _limits(capabilities, query, documents, counter)
    if len(limits.split(count)) == 1:
        return count
    window = min(limit.longest_fitting() for limit in limits.sizes) if limits.sizes else count
    window = min(window, capabilities.max_documents or count)
    if window < 2:
        raise _not_comparable(capabilities, name, count)
    return window


def _surely_fits(capabilities: Capabilities, count: int) -> bool:
    """Whether one call holds so many documents, however long they are."""
    is_counted_alone = capabilities.max_total_tokens is None and capabilities.max_request_bytes is None
    return is_counted_alone and (capabilities.max_documents is None or count <= capabilities.max_documents)


@dataclass(frozen=True, slots=True)
class _SizeLimit:
    """A limit on the sum of a size over the documents of a call."""

    sums: Sequence[int]
    """Size of the first 0..n documents together."""
    most: int

    def end(self, start: int) -> int:
        """Return where the longest run of documents from `start` that fits ends."""
        return bisect_right(self.sums, self.sums[start] + self.most, lo=start) - 1

    def longest_fitting(self) -> int:
        """Return how many documents fit whichever they are: the longest ones."""
        sizes = sorted((after - before for before, after in zip(self.sums, self.sums[1:], strict=False)), reverse=True)
        return sum(1 for total in accumulate(sizes) if total <= self.most)


@dataclass(frozen=True, slots=True)
class _Limits:
    """What one call takes of this request."""

    documents: int
    """Even shares, in whole billing units where those are."""
    unit: int
    """Multiples that chunks are rounded down to."""
    sizes: Sequence[_SizeLimit]

    def split(self, count: int) -> list[range]:
        """Fill one call after the other."""
        chunks = []
        start = 0
        while start < count:
            end = min(start + self.documents, count, *(limit.end(start) for limit in self.sizes))
            if end < count and end - start > self.unit:
                end -= (end - start) % self.unit
            end = max(end, start + 1)
            chunks.append(range(start, end))
            start = end
        return chunks

    def scaled(self, share: float) -> _Limits:
        """Return the limits with a share of the sizes."""
        return replace(self, sizes=[replace(limit, most=math.ceil(limit.most * share)) for limit in self.sizes])

    def cost(self, chunks: Sequence[range]) -> tuple[int, int]:
        """Return calls and billing units."""
        return len(chunks), sum(math.ceil(len(chunk) / self.unit) for chunk in chunks)


def _limits(capabilities: Capabilities, query: str, documents: Sequence[str], counter: TokenCounter) -> _Limits:
    count = len(documents)
    most = min(capabilities.max_documents or count, count)
    is_billed_by_unit = (
        capabilities.billing_unit == "search_unit" and (capabilities.max_documents or count) >= SEARCH_UNIT_DOCUMENTS
    )
    unit = SEARCH_UNIT_DOCUMENTS if is_billed_by_unit else 1
    size = math.ceil(count / math.ceil(count / most))
    if size < count and unit > 1:
        size = min(math.ceil(size / unit) * unit, most - most % unit)
    sizes = []
    characters = sum(map(len, documents))
    most_tokens, most_bytes = capabilities.max_total_tokens, capabilities.max_request_bytes
    if most_tokens is not None and _MOST_TOKENS * (characters + count * len(query)) > most_tokens:
        query_tokens = counter.count(query)
        sizes.append(_size_limit((query_tokens + counter.count(document) for document in documents), most_tokens))
    if most_bytes is not None:
        room = most_bytes - ENVELOPE_BYTES - _json_bytes(query)
        if _MOST_JSON_BYTES * characters + count * DOCUMENT_BYTES > room:
            sizes.append(_size_limit((_json_bytes(document) + DOCUMENT_BYTES for document in documents), room))
    return _Limits(size, unit, sizes)


def _size_limit(sizes: Iterable[int], most: int) -> _SizeLimit:
    return _SizeLimit(list(accumulate(sizes, initial=0)), max(0, most))


def _json_bytes(text: str) -> int:
    """Return the size of `text` in JSON; what UTF-8 cannot encode is refused later, naming the document."""
    try:
        return len(msgspec.json.encode(text))
    except UnicodeEncodeError:
        return _MOST_JSON_BYTES * len(text)


def _evened(limits: _Limits, chunks: list[range], count: int) -> list[range]:
    """Make calls that tokens or bytes divide about equal, without one call or billing unit more."""
    if not limits.sizes:
        return chunks
    cost = limits.cost(chunks)
    low, high = 0.0, 1.0
    for _ in range(_EVENING_STEPS):
        share = (low + high) / 2
        tried = limits.scaled(share).split(count)
        if limits.cost(tried) <= cost:
            chunks, high = tried, share
        else:
            low = share
    return chunks


def _limit_text(capabilities: Capabilities) -> str:
    limits = [
        f"{value:,} {what}"
        for value, what in (
            (capabilities.max_documents, "documents"),
            (capabilities.max_total_tokens, "tokens"),
            (capabilities.max_request_bytes, "bytes"),
        )
        if value is not None
    ]
    return " and ".join(limits)


def _not_splittable(capabilities: Capabilities, name: str, count: int) -> ServiceError:
    over = f"{count} documents exceed the limit of {name} ({_limit_text(capabilities)} per call)"
    if capabilities.scoring is Scoring.LISTWISE:
        return _unsupported(name, count, f"{over}, and it is listwise, so the request cannot be split")
    setting = setting_of(name, "scoring")
    return _unsupported(
        name,
        count,
        f"{over}, and the model is not known to be pointwise, so the request cannot be split; send fewer documents,"
        f" or set {setting}: pointwise if a score does not depend on the other documents of a call",
    )


def _not_comparable(capabilities: Capabilities, name: str, count: int) -> ServiceError:
    return _unsupported(
        name,
        count,
        f"{name} is listwise, and the two longest documents exceed its limit ({_limit_text(capabilities)} per call);"
        " send shorter documents",
    )


def setting_of(name: str, fact: str) -> str:
    """Return the key under which the settings state a fact of a model: `providers.tei.models."NAME".scoring`."""
    provider, _, model = name.partition("/")
    return f'providers.{provider}.models."{model}".{fact}'


def _unsupported(name: str, count: int, message: str) -> ServiceError:
    return ServiceError(
        Reason.CAPABILITY_UNSUPPORTED,
        message,
        metadata={"model": name, "documents": str(count), "field": "documents"},
        violations=[FieldViolation("documents", message)],
    )
