"""A stream of rerank requests in bounded memory, with flow control both ways.

At most `concurrency` items are held: under way, or finished and not yet taken by the caller. The stream is
read only when there is room, so a caller that stops reading stops the work, and with it the sender.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog
from msgspec import structs

from rerankd.contract import messages
from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import FieldViolation, ServiceError, invalid_request
from rerankd.contract.messages import (
    BatchItem,
    BatchItemResult,
    BatchRerankRequest,
    BatchRerankResponse,
    RerankRequest,
)
from rerankd.contract.service import RerankService
from rerankd.contract.status import OK, internal_error, status_of
from rerankd.engine.response import elapsed_ms
from rerankd.engine.scoring.usage import add_usage
from rerankd.telemetry.metrics import metrics

Rerank = Callable[[RerankRequest, CallContext], Awaitable[messages.RerankResponse]]

PROGRESS_EVERY = 100
"""Items between two progress messages."""

_DEFAULTED_FIELDS = tuple(name for name in RerankRequest.__struct_fields__ if name != "documents")
_UNSET = RerankRequest()

_log = structlog.get_logger("rerankd.batch")


class BatchService:
    """`BatchRerank` over any service: every item is a call of its `rerank`. Satisfies `RerankServiceStreams`.

    Args:
        service: Answers the items.
        max_concurrency: Returns the items of one stream held at once; asked when a stream begins.
    """

    def __init__(self, service: RerankService, max_concurrency: Callable[[], int]) -> None:
        self._service = service
        self._max_concurrency = max_concurrency

    def batch_rerank(
        self, requests: AsyncIterator[BatchRerankRequest], call: CallContext
    ) -> AsyncIterator[BatchRerankResponse]:
        """Rerank a stream of items, reading no faster than the answers are taken."""
        return run_batch(self._service.rerank, requests, call, self._max_concurrency())


async def run_batch(
    rerank: Rerank,
    requests: AsyncIterator[BatchRerankRequest],
    call: CallContext,
    max_concurrency: int,
) -> AsyncIterator[BatchRerankResponse]:
    """Rerank every item of `requests`; yield one outcome an item, progress, and a summary last.

    Args:
        rerank: Answers one request.
        requests: Options first if at all, then items.
        call: Context of the stream.
        max_concurrency: Items held at once, unless the options ask for fewer.

    Raises:
        ServiceError: `INVALID_REQUEST` for a stream that breaks its own rules. Items fail alone.
    """
    first = await anext(requests, None)
    if first is not None and first.which_message() is None:
        raise invalid_request([FieldViolation("item", "the first message must hold either options or an item")])
    options = (first and first.options) or messages.BatchOptions()
    run = _BatchRun(rerank, call, options, _concurrency(options, max_concurrency))
    opening = first.item if first else None
    reader = asyncio.create_task(run.read(opening, requests))
    metrics.batches.of().inc()
    try:
        while (finished := await run.outcomes.get()) is not None:
            outcome = await finished
            yield BatchRerankResponse(item=outcome)
            run.account(outcome)
            if run.answered % PROGRESS_EVERY == 0:
                yield BatchRerankResponse(progress=run.progress())
        await reader
        yield BatchRerankResponse(summary=run.summary())
    finally:
        metrics.batches.of().dec()
        await run.stop(reader)


def _concurrency(options: messages.BatchOptions, max_concurrency: int) -> int:
    asked = options.max_concurrency
    if asked is None:
        return max_concurrency
    if asked < 1:
        rule = f"max_concurrency must be at least 1, was {asked}"
        raise invalid_request([FieldViolation("options.max_concurrency", rule)])
    return min(asked, max_concurrency)


class _BatchRun:
    """State of one stream."""

    def __init__(self, rerank: Rerank, call: CallContext, options: messages.BatchOptions, concurrency: int) -> None:
        self._rerank = rerank
        self._call = call
        self._ordered = options.ordered
        self._defaults = options.defaults
        self._room = asyncio.Semaphore(concurrency)
        self._tasks: set[asyncio.Task[BatchItemResult]] = set()
        self._started_s = time.monotonic()
        self._received = 0
        self._succeeded = 0
        self._failed = 0
        self._usage = messages.Usage()
        self.outcomes: asyncio.Queue[asyncio.Future[BatchItemResult] | None] = asyncio.Queue()
        """Finished items (in item order if the caller asked for that), then `None`."""

    async def read(self, opening: BatchItem | None, requests: AsyncIterator[BatchRerankRequest]) -> None:
        """Start a task for each item while there is room; put `None` when all are done."""
        try:
            if opening is not None:
                await self._room.acquire()
                self._start(opening)
            while True:
                await self._room.acquire()
                message = await anext(requests, None)
                if message is None:
                    break
                if message.item is None or message.options is not None:
                    rule = "options must be sent once, before the first item; every other message is an item"
                    raise invalid_request([FieldViolation("options", rule)])
                self._start(message.item)
            if self._tasks:
                await asyncio.wait(self._tasks)
        finally:
            self.outcomes.put_nowait(None)

    def _start(self, item: BatchItem) -> None:
        task = asyncio.create_task(self._answer(item, self._received))
        self._received += 1
        self._tasks.add(task)
        if self._ordered:
            self.outcomes.put_nowait(task)
        else:
            task.add_done_callback(self.outcomes.put_nowait)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, item: BatchItem, index: int) -> BatchItemResult:
        call = structs.replace(self._call, request_id=f"{self._call.request_id}-{index}", request_type="batch_rerank")
        result = BatchItemResult(item_id=item.item_id, item_index=index, status=OK)
        try:
            request = apply_defaults(item.request or RerankRequest(), self._defaults)
            result.response = await self._rerank(request, call)
        except ServiceError as error:
            result.status = status_of(error)
        except Exception:
            _log.exception("batch item failed", request_id=call.request_id)
            result.status = status_of(internal_error(call.request_id))
        return result

    @property
    def answered(self) -> int:
        """Items whose outcome was taken by the caller."""
        return self._succeeded + self._failed

    def account(self, outcome: BatchItemResult) -> None:
        """Count an outcome that was taken, and make room for the next item."""
        self._room.release()
        if outcome.response is None:
            self._failed += 1
            return
        self._succeeded += 1
        if outcome.response.usage is not None:
            add_usage(self._usage, outcome.response.usage)

    def progress(self) -> messages.BatchProgress:
        """Report how far the batch has come."""
        return messages.BatchProgress(
            items_received=self._received, items_succeeded=self._succeeded, items_failed=self._failed
        )

    def summary(self) -> messages.BatchSummary:
        """Report the totals."""
        return messages.BatchSummary(
            items_received=self._received,
            items_succeeded=self._succeeded,
            items_failed=self._failed,
            usage=self._usage,
            latency_ms=elapsed_ms(self._started_s),
        )

    async def stop(self, reader: asyncio.Task[None]) -> None:
        """Cancel what is still under way; return when all of it has ended."""
        unfinished = [reader, *self._tasks]
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)


def apply_defaults(request: RerankRequest, defaults: RerankRequest | None) -> RerankRequest:
    """Give `request` the default of every field it leaves unset; documents have no default."""
    if defaults is not None:
        for name in _DEFAULTED_FIELDS:
            if getattr(request, name) == getattr(_UNSET, name):
                setattr(request, name, getattr(defaults, name))
    return request
