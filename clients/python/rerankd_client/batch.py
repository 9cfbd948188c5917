"""A batch: what comes back."""

from __future__ import annotations

from dataclasses import dataclass

from rerank.v1 import rerank_service_pb2 as pb
from rerankd_client.errors import RerankError, error_of_status
from rerankd_client.responses import RerankResponse, Usage, decode_response, decode_usage


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The outcome of one item: a response or an error."""

    item_id: str
    """The item's name, as it went."""
    item_index: int
    """Zero-based position of the item in the source."""
    response: RerankResponse | None
    """The answer; None when the item failed."""
    error: RerankError | None
    """Why the item failed; None when it did not."""

    def response_or_raise(self) -> RerankResponse:
        """Return the response.

        Raises:
            RerankError: The item failed.
        """
        if self.response is None:
            raise self.error or ValueError(f"item {self.item_index} has neither response nor error")
        return self.response


@dataclass(frozen=True, slots=True)
class BatchProgress:
    """How far a batch has come."""

    items_received: int
    """Items the server has read."""
    items_succeeded: int
    """Items answered."""
    items_failed: int
    """Items answered with a failure."""


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """Totals of a batch."""

    items_received: int
    """Items the server has read."""
    items_succeeded: int
    """Items answered."""
    items_failed: int
    """Items answered with a failure."""
    usage: Usage
    """What all items consumed."""
    latency_ms: float
    """Milliseconds from first item to last answer."""
    resumes: int = 0
    """How often the stream broke and another one took over its unanswered items."""


def decode_batch_item(message: pb.BatchItemResult, item_index: int) -> BatchResult:
    """Build the outcome of one item; `item_index` is its position in the source."""
    if message.HasField("response"):
        return BatchResult(message.item_id, item_index, decode_response(message.response), None)
    return BatchResult(message.item_id, item_index, None, error_of_status(message.status))


def decode_batch_progress(message: pb.BatchProgress) -> BatchProgress:
    """Build a `BatchProgress` from its message."""
    return BatchProgress(message.items_received, message.items_succeeded, message.items_failed)


def decode_batch_summary(message: pb.BatchSummary) -> BatchSummary:
    """Build a `BatchSummary` from its message."""
    return BatchSummary(
        items_received=message.items_received,
        items_succeeded=message.items_succeeded,
        items_failed=message.items_failed,
        usage=decode_usage(message.usage),
        latency_ms=message.latency_ms,
    )
