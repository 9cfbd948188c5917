"""Limits of request size and of concurrent calls."""

from __future__ import annotations

import math

import msgspec

from rerankd.contract.errors import FieldViolation, Reason, ServiceError
from rerankd.contract.wording import verb_of


class RequestLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits of one call, and of concurrent calls. A call beyond them is refused before any work."""

    max_documents: int = 10_000
    """Documents per call."""
    max_document_chars: int = 1_000_000
    """Characters of the text of one document, or of the keys and texts in its fields."""
    max_document_values: int = 20_000
    """Values in the fields of one document, at all levels, or in `provider_options`."""
    max_image_chars: int = 16_000_000
    """Characters of the image URL of one document, including base64 data."""
    max_query_chars: int = 100_000
    """Characters of the query."""
    max_name_chars: int = 256
    """Characters of every name a caller chooses: of a model, a fallback, a rank field, a key of `provider_options`,
    an end user."""
    max_fallbacks: int = 5
    """Names in `fallbacks`."""
    max_rank_fields: int = 100
    """Names in `rank_fields`."""
    max_provider_options: int = 100
    """Keys of `provider_options`."""
    max_request_bytes: int = 64 * 1024 * 1024
    """Size of a gRPC message or HTTP body."""
    max_values: int = 1_500_000
    """Values in one body: 10,000 documents of 100 fields are 1,020,000. Counted before anything is made of them."""
    max_bytes_in_flight: int = 128 * 1024 * 1024
    """Bytes of all bodies of one worker that are being read or answered, each beyond its first 64 KiB, as decoded."""
    max_concurrent_calls: int = 1024
    """Calls in flight per worker process; further ones are refused at once."""
    max_provider_share: float = 0.5
    """Share of `max_concurrent_calls` that calls to one provider, or to one embedded model, may hold, above 0 to 1; of
    what others leave free, likewise. Further calls to it are refused at once. 1: no limit."""
    default_timeout_s: float = 300.0
    """Deadline of a call that sets none, in seconds; it covers all retries and fallbacks."""
    max_reranker_members: int = 16
    """Models that one reranker of the settings may name."""
    max_reranker_depth: int = 4
    """Rerankers within one another."""
    max_reranker_calls: int = 32
    """Models that one call of a reranker asks, those of rerankers within it included."""
    batch_concurrency: int = 16
    """Items in flight per batch stream; callers may request fewer."""

    def problems(self, path: str) -> list[str]:
        """Return what is wrong with the values, one sentence each.

        Args:
            path: Settings key of these limits.
        """
        share = self.max_provider_share
        found = [
            f"{path}.{name} must be at least 1, is {value:g}"
            for name, value in msgspec.structs.asdict(self).items()
            if name != "max_provider_share" and not 1 <= value < math.inf
        ]
        if self.max_bytes_in_flight < self.max_request_bytes:
            found.append(
                f"{path}.max_bytes_in_flight is {self.max_bytes_in_flight}; it must hold one request of "
                f"{path}.max_request_bytes, {self.max_request_bytes}"
            )
        if not 0 < share <= 1:
            found.append(f"{path}.max_provider_share must be above 0 and at most 1, is {share:g}")
        return found


def too_many_documents(most: int, field: str = "documents", count: int | None = None) -> ServiceError:
    """Build the error for a list with more items than a call may have documents.

    Args:
        most: Documents of a call.
        field: The caller's name of the list.
        count: Items of it; `None` if they were not counted to the end.
    """
    items = f"{count} items, more than the {most}" if count is not None else f"more than the {most} items"
    message = f"{field} {verb_of(field, 'has')} {items} this server takes in one call; send fewer"
    counted = {} if count is None else {"documents": str(count)}
    return ServiceError(
        Reason.TOO_MANY_DOCUMENTS,
        message,
        metadata={**counted, "max_documents": str(most)},
        violations=[FieldViolation(field, message)],
    )
