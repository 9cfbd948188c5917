"""A batch: what comes back, and the bookkeeping that both clients share.

The source of items is read only while fewer than `BatchRun.window` items are unanswered. Every item is
answered once, so this bounds what is held on both sides, whatever gRPC and the kernel buffer: a server that
does not read stops the source, and so does a caller who does not take results.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from rerank.v1 import rerank_service_pb2 as pb
from rerankd_client.errors import RerankError, error_of_status
from rerankd_client.requests import encode_batch_options
from rerankd_client.responses import RerankResponse, Usage, decode_response, decode_usage

_DEFAULT_WINDOW: Final = 64


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The outcome of one item: a response or an error."""

    item_id: str
    """The item's name, as it went."""
    item_index: int
    """Zero-based place of the item in the source."""
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


class BatchRun:
    """State of one batch. One task or thread sends, another receives; they share only `source_error`."""

    def __init__(
        self,
        *,
        defaults: Mapping[str, object] | None,
        ordered: bool,
        max_concurrency: int | None,
        on_progress: Callable[[BatchProgress], None] | None,
    ) -> None:
        self._on_progress = on_progress
        self.opening = encode_batch_options(defaults, ordered=ordered, max_concurrency=max_concurrency)
        """First message of the stream."""
        # Twice what is under way, so that the server always has the next item at hand.
        self.window = _DEFAULT_WINDOW if max_concurrency is None else max(1, 2 * max_concurrency)
        """Most items that are unanswered at one time, n >= 1."""
        self.summary: BatchSummary | None = None
        """Totals, once they have come."""
        self.source_error: Exception | None = None
        """What the source of items raised, or an item that could not be encoded."""

    def receive(self, message: pb.BatchRerankResponse) -> BatchResult | None:
        """Take a message from the server: return the outcome it holds, report progress, keep the summary."""
        kind = message.WhichOneof("message")
        if kind == "item":
            return _decode_item(message.item)
        if kind == "progress" and self._on_progress is not None:
            progress = message.progress
            self._on_progress(BatchProgress(progress.items_received, progress.items_succeeded, progress.items_failed))
        elif kind == "summary":
            self.summary = _decode_summary(message.summary)
        return None

    def finish(self) -> None:
        """Raise what stopped the source, after the items before it have been answered."""
        if self.source_error is not None:
            raise self.source_error


def _decode_item(message: pb.BatchItemResult) -> BatchResult:
    if message.HasField("response"):
        return BatchResult(message.item_id, message.item_index, decode_response(message.response), None)
    return BatchResult(message.item_id, message.item_index, None, error_of_status(message.status))


def _decode_summary(message: pb.BatchSummary) -> BatchSummary:
    return BatchSummary(
        items_received=message.items_received,
        items_succeeded=message.items_succeeded,
        items_failed=message.items_failed,
        usage=decode_usage(message.usage),
        latency_ms=message.latency_ms,
    )
