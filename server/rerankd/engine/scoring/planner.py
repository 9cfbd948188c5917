"""Splits the documents of a request into provider calls.

Requests to pointwise models are split by the tightest of the provider's limits: documents, tokens, bytes, billing unit.
Other requests are not split: a document's score depends, or may depend, on the other documents of the call. Listwise
models beyond their window use `scoring.tournament`; `listwise_window` computes the window.
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
"""Allowance for everything in a request body except query and documents."""
DOCUMENT_BYTES: Final = 100
"""Allowance for the JSON syntax around one document."""
_MAX_JSON_BYTES_PER_CHAR: Final = 6
"""A control character: `\\u0000`."""
_MAX_TOKENS_PER_CHAR: Final = 4
"""One token per UTF-8 byte."""
_BALANCE_STEPS: Final = 6
"""Bisection steps when calls are made equal in size."""


def plan_chunks(
    capabilities: Capabilities, name: str, query: str, documents: Sequence[str], counter: TokenCounter = ESTIMATE
) -> list[range]:
    """Split a request into provider calls.

    No call exceeds the model's limits of documents, tokens and bytes, except a call of one document that exceeds a
    limit by itself. The number of calls is the lowest that consecutive documents allow, and the calls are of about
    equal size. Where a billing unit covers 100 documents, every call but the last has a multiple of 100 documents,
    unless the model takes fewer than 100.

    Args:
        capabilities: Limits of the model.
        name: Public name of the model, for the error: `provider/model`.
        query: Its tokens are added to those of every document.
        documents: n texts, n >= 1.
        counter: Counts tokens; called only where the number of characters does not decide.

    Returns:
        Ranges of document positions, ascending; every document is in exactly one.

    Raises:
        ServiceError: `CAPABILITY_UNSUPPORTED` when the request exceeds a limit and the model is not pointwise.
    """
    count = len(documents)
    if _fits_by_count(capabilities, count):
        return [range(count)]
    limits = _limits(capabilities, query, documents, counter)
    chunks = limits.split(count)
    if len(chunks) > 1 and capabilities.scoring is not Scoring.POINTWISE:
        raise _not_splittable(capabilities, name, count)
    return _balance(limits, chunks, count) if len(chunks) > 1 else chunks


def listwise_window(
    capabilities: Capabilities, name: str, query: str, documents: Sequence[str], counter: TokenCounter = ESTIMATE
) -> int:
    """Return how many documents fit into one call of a listwise model, whichever documents are chosen.

    Args:
        capabilities: Limits of the model.
        name: Public name of the model, for the error: `provider/model`.
        query: Its tokens are added to those of every document.
        documents: n texts, n >= 1.
        counter: Counts tokens.

    Returns:
        n if all of them fit into one call, else 2 to n - 1: the number of longest documents that fit.

    Raises:
        ServiceError: `CAPABILITY_UNSUPPORTED` when the two longest documents do not fit into one call.
    """
    count = len(documents)
    if _fits_by_count(capabilities, count):
        return count
    limits = _limits(capabilities, query, documents, counter)
    if len(limits.split(count)) == 1:
        return count
    window = min(limit.count_longest_fitting() for limit in limits.sizes) if limits.sizes else count
    window = min(window, capabilities.max_documents or count)
    if window < 2:
        raise _not_comparable(capabilities, name, count)
    return window


def _fits_by_count(capabilities: Capabilities, count: int) -> bool:
    """Whether `count` documents of any length fit into one call."""
    has_no_size_limit = capabilities.max_total_tokens is None and capabilities.max_request_bytes is None
    return has_no_size_limit and (capabilities.max_documents is None or count <= capabilities.max_documents)


@dataclass(frozen=True, slots=True)
class _SizeLimit:
    """A limit on the tokens or bytes of a call's documents."""

    sums: Sequence[int]
    """Cumulative sizes: n + 1 numbers, the size of the first 0..n documents."""
    max_size: int

    def end(self, start: int) -> int:
        """Return the end of the longest range of documents from `start` that fits."""
        return bisect_right(self.sums, self.sums[start] + self.max_size, lo=start) - 1

    def count_longest_fitting(self) -> int:
        """Return how many of the longest documents fit together."""
        sizes = sorted((after - before for before, after in zip(self.sums, self.sums[1:], strict=False)), reverse=True)
        return sum(1 for total in accumulate(sizes) if total <= self.max_size)


@dataclass(frozen=True, slots=True)
class _CallLimits:
    """Limits of one call, computed for the documents of one request."""

    documents: int
    """Documents per call if calls are of equal size, rounded to whole billing units."""
    unit: int
    """Documents per billing unit; call sizes are rounded down to multiples of it."""
    sizes: Sequence[_SizeLimit]

    def split(self, count: int) -> list[range]:
        """Fill calls one after another; return their ranges."""
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

    def scaled(self, share: float) -> _CallLimits:
        """Return limits with every size limit multiplied by `share`, 0 to 1."""
        return replace(self, sizes=[replace(limit, max_size=math.ceil(limit.max_size * share)) for limit in self.sizes])

    def cost(self, chunks: Sequence[range]) -> tuple[int, int]:
        """Return the number of calls and of billing units."""
        return len(chunks), sum(math.ceil(len(chunk) / self.unit) for chunk in chunks)


def _limits(capabilities: Capabilities, query: str, documents: Sequence[str], counter: TokenCounter) -> _CallLimits:
    count = len(documents)
    max_documents = min(capabilities.max_documents or count, count)
    is_billed_by_unit = (
        capabilities.billing_unit == "search_unit" and (capabilities.max_documents or count) >= SEARCH_UNIT_DOCUMENTS
    )
    unit = SEARCH_UNIT_DOCUMENTS if is_billed_by_unit else 1
    size = math.ceil(count / math.ceil(count / max_documents))
    if size < count and unit > 1:
        size = min(math.ceil(size / unit) * unit, max_documents - max_documents % unit)
    sizes = []
    characters = sum(map(len, documents))
    max_tokens, max_bytes = capabilities.max_total_tokens, capabilities.max_request_bytes
    if max_tokens is not None and _MAX_TOKENS_PER_CHAR * (characters + count * len(query)) > max_tokens:
        query_tokens = counter.count(query)
        sizes.append(_size_limit((query_tokens + counter.count(document) for document in documents), max_tokens))
    if max_bytes is not None:
        document_bytes = max_bytes - ENVELOPE_BYTES - _json_bytes(query)
        if _MAX_JSON_BYTES_PER_CHAR * characters + count * DOCUMENT_BYTES > document_bytes:
            sizes.append(
                _size_limit((_json_bytes(document) + DOCUMENT_BYTES for document in documents), document_bytes)
            )
    return _CallLimits(size, unit, sizes)


def _size_limit(sizes: Iterable[int], max_size: int) -> _SizeLimit:
    return _SizeLimit(list(accumulate(sizes, initial=0)), max(0, max_size))


def _json_bytes(text: str) -> int:
    """Return the size of `text` in JSON; text with lone surrogates is estimated here and refused by the adapter."""
    try:
        return len(msgspec.json.encode(text))
    except UnicodeEncodeError:
        return _MAX_JSON_BYTES_PER_CHAR * len(text)


def _balance(limits: _CallLimits, chunks: list[range], count: int) -> list[range]:
    """Make calls bounded by tokens or bytes about equal in size, at the same number of calls and billing units."""
    if not limits.sizes:
        return chunks
    cost = limits.cost(chunks)
    low, high = 0.0, 1.0
    for _ in range(_BALANCE_STEPS):
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
    exceed = "document exceeds" if count == 1 else "documents exceed"
    over = f"{count} {exceed} the limit of {name} ({_limit_text(capabilities)} per call)"
    if capabilities.scoring is Scoring.LISTWISE:
        return _unsupported(name, count, f"{over}, and it is listwise, so the request cannot be split")
    setting = settings_key(name, "scoring")
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


def settings_key(name: str, capability: str) -> str:
    """Return the settings key of one capability of a model: `providers.tei.models."NAME".scoring`."""
    provider, _, model = name.partition("/")
    return f'providers.{provider}.models."{model}".{capability}'


def _unsupported(name: str, count: int, message: str) -> ServiceError:
    return ServiceError(
        Reason.CAPABILITY_UNSUPPORTED,
        message,
        metadata={"model": name, "documents": str(count), "field": "documents"},
        violations=[FieldViolation("documents", message)],
    )
