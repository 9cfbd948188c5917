"""Cuts documents that a server would refuse as too long, to the model's window and to `max_tokens_per_doc`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from msgspec import structs

from rerankd.contract.errors import ServiceError
from rerankd.engine.routing.failures import MAX_TOKENS
from rerankd.engine.scoring.passages import MIN_PASSAGE_TOKENS, SPECIAL_TOKENS, fits_in, truncate
from rerankd.engine.scoring.tokens import TokenCounter
from rerankd_adapters.base import Capabilities, ModelInfo, ProviderCall, Scoring, Truncation

_MOST_LISTED = 10


@dataclass(frozen=True, slots=True)
class Cut:
    """A call whose texts fit, and what was cut."""

    call: ProviderCall
    warnings: Sequence[str] = ()
    """For the caller, one sentence each."""


def is_too_long(error: ServiceError) -> bool:
    """Whether the provider refused a pair as too long and told its window."""
    return MAX_TOKENS in error.metadata


def with_lower_window(info: ModelInfo, error: ServiceError) -> ModelInfo:
    """Return a model with the window that a refusal told, or half its window if that was not exceeded by our count."""
    told, known = int(error.metadata[MAX_TOKENS]), info.capabilities.max_tokens_per_document
    window = told if known is None or told < known else max(known // 2, 1)
    return replace(info, capabilities=replace(info.capabilities, max_tokens_per_document=window))


def window_of(capabilities: Capabilities, call: ProviderCall) -> int | None:
    """Return the tokens of query and document together that the call must not exceed; `None` if nothing is to be cut.

    The window of a listwise model holds all documents of a call, so it says nothing about one; truncation `NONE` leaves
    the refusal to the provider.
    """
    if capabilities.scoring is Scoring.LISTWISE or call.truncation is Truncation.NONE:
        return None
    return capabilities.max_tokens_per_document


def cut_call(call: ProviderCall, indices: Sequence[int], name: str, window: int | None, counter: TokenCounter) -> Cut:
    """Cut the documents of a call that exceed the window or `max_tokens_per_doc`.

    The query stays whole unless it leaves no room for the documents; then it is cut to half the window. A document that
    is cut is sent as text, not as an object. Truncation `START` cuts the start of documents, anything else their end.

    Args:
        call: The query and n documents, n >= 1.
        indices: n indices: that in the request of each document.
        name: Public name of the model, for the warnings.
        window: Tokens of query and document together; `None` if only `max_tokens_per_doc` limits documents.
        counter: Counts tokens.

    Returns:
        The call without `truncation` and `max_tokens_per_doc` where they have been applied.
    """
    warnings: list[str] = []
    room = None
    if window is not None:
        query, room = _query_and_room(call, window, counter)
        if query != call.query:
            warnings.append(f"the query was cut: it leaves no room for documents in the window of {name}")
            call = structs.replace(call, query=query)
    limits = [limit for limit in (room, call.max_tokens_per_doc) if limit is not None]
    keeps_end = call.truncation is Truncation.START
    applied = None if call.truncation is not Truncation.NONE else call.truncation
    call = structs.replace(call, max_tokens_per_doc=None, truncation=applied)
    if not limits:
        return Cut(call)
    limit = min(limits)
    long = [position for position, text in enumerate(call.documents) if not fits_in(text, limit, counter)]
    if not long:
        return Cut(call, warnings)
    why = f"the window of {name}" if limit == room else "max_tokens_per_doc"
    counted = f"{limit} tokens" if counter.is_exact else f"about {limit} tokens"
    listed = ", ".join(str(indices[position]) for position in long[:_MOST_LISTED])
    more = ", ..." if len(long) > _MOST_LISTED else ""
    warnings.append(f"documents were cut to {counted} ({why}): {len(long)} of {len(indices)}, at index {listed}{more}")
    return Cut(_with_cut(call, long, limit, counter, keeps_end=keeps_end), warnings)


def _query_and_room(call: ProviderCall, window: int, counter: TokenCounter) -> tuple[str, int]:
    """Return the query to send, and the tokens that it leaves for each document, at least 1."""
    query = call.query
    room = window - SPECIAL_TOKENS - counter.count(f"{call.instruction}\n{query}" if call.instruction else query)
    if room >= MIN_PASSAGE_TOKENS or all(fits_in(text, max(room, 0), counter) for text in call.documents):
        return query, max(room, 1)
    half = max(1, window // 2)
    if not fits_in(query, half, counter):
        query = truncate(query, half, counter)
    return query, max(1, window - SPECIAL_TOKENS - counter.count(query))


def _with_cut(
    call: ProviderCall, positions: Sequence[int], limit: int, counter: TokenCounter, *, keeps_end: bool
) -> ProviderCall:
    documents = list(call.documents)
    objects = None if call.objects is None else list(call.objects)
    for position in positions:
        documents[position] = truncate(documents[position], limit, counter, keeps_end=keeps_end)
        if objects is not None:
            objects[position] = None
    if objects is not None and not any(each is not None for each in objects):
        return structs.replace(call, documents=documents, objects=None, rank_fields=())
    return structs.replace(call, documents=documents, objects=objects)
