"""The bookkeeping of a batch that both clients share: what is unanswered, and how a broken stream is resumed.

The source of items is read only while fewer than `BatchRun.window` items are unanswered. Every item is
answered once, so this bounds what is held on both sides, whatever gRPC and the kernel buffer: a server that
does not read stops the source, and so does a caller who does not take results.

A stream that breaks, because a worker or a connection is gone, is followed by another one, on which the
unanswered items are sent again, in their order, before the source is read on.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import grpc

from rerank.v1 import rerank_service_pb2 as pb
from rerankd_client.batch import (
    BatchProgress,
    BatchResult,
    BatchSummary,
    decode_batch_item,
    decode_batch_progress,
    decode_batch_summary,
)
from rerankd_client.errors import RerankError
from rerankd_client.requests import encode_batch_options
from rerankd_client.responses import Usage, add_usage

DEFAULT_MAX_RESUMES: Final = 8
_DEFAULT_WINDOW: Final = 64
_RESUMES_UNANSWERED: Final = 2
"""Most resumes before the first answer: a server that never answered is missing, or the wrong one."""
_FIRST_DELAY_S: Final = 0.2
_LONGEST_DELAY_S: Final = 5.0
_BROKEN_CODES: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    }
)
_DRAINING: Final = "DRAINING"


@dataclass(slots=True)
class _Unanswered:
    message: pb.BatchRerankRequest
    sends: int = 0
    """Streams on which it was sent."""


class BatchRun:
    """State of one batch over all its streams.

    One task or thread sends, another one receives and begins streams. In threads, only `receive` is safe
    beside the other methods; the caller locks those.

    Args:
        defaults: Values for what items leave unset.
        ordered: Whether results come in the order of the items.
        max_concurrency: Items under way at once; None: the server's ceiling.
        on_progress: Called with the totals as they come.
        max_resumes: How often one item may be sent again, and how many streams may break in a row without an
            answer; >= 0.
        is_closed: Says whether the client was closed, which ends the batch.

    Raises:
        ValueError: `max_resumes` is negative.
    """

    def __init__(
        self,
        *,
        defaults: Mapping[str, object] | None,
        ordered: bool,
        max_concurrency: int | None,
        on_progress: Callable[[BatchProgress], None] | None,
        max_resumes: int,
        is_closed: Callable[[], bool],
    ) -> None:
        if max_resumes < 0:
            raise ValueError(f"max_resumes must not be negative, was {max_resumes}")
        self._on_progress = on_progress
        self._max_resumes = max_resumes
        self._is_closed = is_closed
        self.opening = encode_batch_options(defaults, ordered=ordered, max_concurrency=max_concurrency)
        """First message of a stream."""
        # Twice what is under way, so that the server always has the next item at hand.
        self.window = _DEFAULT_WINDOW if max_concurrency is None else max(1, 2 * max_concurrency)
        """Most items that are unanswered at one time, n >= 1."""
        self.summary: BatchSummary | None = None
        """Totals, once they have come."""
        self.is_source_over = False
        """Whether the source has no further item."""
        self.source_error: Exception | None = None
        """What the source of items raised, or an item that could not be encoded."""
        self.stream = 0
        """Number of the current stream, from 1."""
        self._started_s = time.monotonic()
        self._items = 0
        self._unanswered: dict[int, _Unanswered] = {}
        self._outbox: deque[int] = deque()
        self._sent: dict[int, int] = {}
        self._sent_here = 0
        self._answered = BatchSummary(0, 0, 0, Usage(), 0.0)
        self._answered_before = self._answered
        self._fruitless = 0

    @property
    def has_room(self) -> bool:
        """Whether another item may be read."""
        return len(self._unanswered) < self.window

    @property
    def has_message(self) -> bool:
        """Whether a message waits to be sent."""
        return bool(self._outbox)

    def begin_stream(self) -> int:
        """Begin a stream, on which everything unanswered is sent; return its number."""
        self.stream += 1
        self._sent.clear()
        self._sent_here = 0
        self._outbox = deque(self._unanswered)
        self._answered_before = self._answered
        return self.stream

    def add(self, message: pb.BatchRerankRequest) -> None:
        """Take the source's next item, to be sent."""
        self._unanswered[self._items] = _Unanswered(message)
        self._outbox.append(self._items)
        self._items += 1

    def take(self) -> pb.BatchRerankRequest:
        """Return the next message to send on the current stream; needs `has_message`."""
        index = self._outbox.popleft()
        item = self._unanswered[index]
        item.sends += 1
        self._sent[self._sent_here] = index
        self._sent_here += 1
        return item.message

    def receive(self, message: pb.BatchRerankResponse) -> BatchResult | None:
        """Take a message from the server: return the outcome it holds, report progress, keep the summary."""
        kind = message.WhichOneof("message")
        if kind == "item":
            return self._answer(message.item)
        before = self._answered_before
        if kind == "progress" and self._on_progress is not None:
            progress = decode_batch_progress(message.progress)
            self._on_progress(
                BatchProgress(
                    before.items_received + progress.items_received,
                    before.items_succeeded + progress.items_succeeded,
                    before.items_failed + progress.items_failed,
                )
            )
        elif kind == "summary":
            self.summary = decode_batch_summary(message.summary)
            if self.stream > 1:
                self.summary = replace(
                    _sum(before, self.summary),
                    latency_ms=(time.monotonic() - self._started_s) * 1000,
                    resumes=self.stream - 1,
                )
        return None

    def resume_delay_s(self, error: RerankError) -> float | None:
        """Return the seconds to wait before the next stream; None if `error` ends the batch."""
        is_broken = error.code in _BROKEN_CODES and (error.request_id is None or error.reason == _DRAINING)
        if not is_broken or self._is_closed():
            return None
        has_answers = self._answered is not self._answered_before
        self._fruitless = 0 if has_answers else self._fruitless + 1
        limit = self._max_resumes if self._answered.items_received else min(_RESUMES_UNANSWERED, self._max_resumes)
        oldest = next(iter(self._unanswered.values()), None)
        if self._fruitless > limit or not limit or (oldest is not None and oldest.sends > self._max_resumes):
            return None
        longest_s = min(_FIRST_DELAY_S * 2.0**self._fruitless, _LONGEST_DELAY_S)
        return random.uniform(longest_s / 2, longest_s)  # noqa: S311 - jitter, no secret

    def finish(self) -> None:
        """Raise what stopped the source, after the items before it have been answered."""
        if self.source_error is not None:
            raise self.source_error

    def _answer(self, message: pb.BatchItemResult) -> BatchResult | None:
        index = self._sent.pop(message.item_index, None)
        if index is None:  # answered before: an item is answered once, whatever the server does
            return None
        del self._unanswered[index]
        result = decode_batch_item(message, index)
        usage = Usage() if result.response is None else result.response.usage
        self._answered = _sum(self._answered, BatchSummary(1, result.error is None, result.error is not None, usage, 0))
        return result


def _sum(one: BatchSummary, other: BatchSummary) -> BatchSummary:
    return BatchSummary(
        items_received=one.items_received + other.items_received,
        items_succeeded=one.items_succeeded + other.items_succeeded,
        items_failed=one.items_failed + other.items_failed,
        usage=add_usage(one.usage, other.usage),
        latency_ms=one.latency_ms + other.latency_ms,
    )
