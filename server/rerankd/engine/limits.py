"""How much one call may ask for and how many calls run at once."""

from __future__ import annotations

import msgspec

from rerankd.contract.errors import Reason, ServiceError

OVERLOAD_RETRY_AFTER_S = 1.0


class RequestLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one call may ask for. More is refused before any work."""

    max_documents: int = 10_000
    """Documents in one call."""
    max_document_chars: int = 1_000_000
    """Characters of one document's text."""
    max_image_chars: int = 16_000_000
    """Characters of the URL of one document's image, its base64 included."""
    max_query_chars: int = 100_000
    """Characters of the query."""
    max_request_bytes: int = 64 * 1024 * 1024
    """Size of a gRPC message or an HTTP body."""
    max_concurrent_calls: int = 512
    """Calls under way in one worker process; a further one is refused at once."""
    batch_concurrency: int = 16
    """Items of one batch stream under way at once; callers may ask for fewer."""


class Admission:
    """Counts the calls under way and refuses those beyond the limit. For one event loop."""

    def __init__(self, max_concurrent_calls: int) -> None:
        self._limit = max_concurrent_calls
        self._in_flight = 0

    @property
    def in_flight(self) -> int:
        """Calls under way."""
        return self._in_flight

    def enter(self) -> None:
        """Take a place; `leave` gives it back.

        Raises:
            ServiceError: `OVERLOADED` when every place is taken.
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
        """Give a place back."""
        self._in_flight -= 1
