"""Limits of request size and of concurrent calls."""

from __future__ import annotations

import msgspec

from rerankd.contract.errors import Reason, ServiceError

OVERLOAD_RETRY_AFTER_S = 1.0


class RequestLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits of one call, and of concurrent calls. A call beyond them is refused before any work."""

    max_documents: int = 10_000
    """Documents per call."""
    max_document_chars: int = 1_000_000
    """Characters of the text of one document."""
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
    max_concurrent_calls: int = 512
    """Calls in flight per worker process; further ones are refused at once."""
    batch_concurrency: int = 16
    """Items in flight per batch stream; callers may request fewer."""


class Admission:
    """Admission control: refuses calls beyond a number of calls in flight. For one event loop."""

    def __init__(self, max_concurrent_calls: int) -> None:
        self._limit = max_concurrent_calls
        self._in_flight = 0

    @property
    def in_flight(self) -> int:
        """Admitted calls that have not left."""
        return self._in_flight

    def enter(self) -> None:
        """Admit a call; every admitted call must `leave`.

        Raises:
            ServiceError: `OVERLOADED` at the limit.
        """
        if self._in_flight >= self._limit:
            raise ServiceError(
                Reason.OVERLOADED,
                f"{self._in_flight} calls are in flight, as many as this server accepts; try again shortly",
                metadata={"limit": "max_concurrent_calls", "max_concurrent_calls": str(self._limit)},
                retry_after_s=OVERLOAD_RETRY_AFTER_S,
            )
        self._in_flight += 1

    def leave(self) -> None:
        """End an admitted call."""
        self._in_flight -= 1
