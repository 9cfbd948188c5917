"""Reranks a stream of requests in bounded memory, with flow control in both directions.

At most `max_concurrency` items are held at a time: in flight, or finished and not yet read by the caller. The request
stream is read only below that limit, so a caller that stops reading responses stops the work, and then the sender.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

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
from rerankd.telemetry.metrics.instruments import metrics

Rerank = Callable[[RerankRequest, CallContext], Awaitable[messages.RerankResponse]]
ContextOf = Callable[[BatchItem, CallContext], CallContext]
"""Takes an item and its context; returns the context with which it is reranked."""

PROGRESS_EVERY = 100
"""Items between progress messages."""

_DEFAULTED_FIELDS = tuple(name for name in RerankRequest.__struct_fields__ if name != "documents")
_UNSET = RerankRequest()

_log = structlog.get_logger("rerankd.batch")


class BatchService:
    """Implements `BatchRerank` with the `rerank` of any service, one call per item. Satisfies `RerankServiceStreams`.

    Args:
        service: Reranks the items.
        max_concurrency: Returns the limit of items held per stream; called when a stream begins.
    """

    def __init__(self, service: RerankService, max_concurrency: Callable[[], int]) -> None:
        self._service = service
        self._max_concurrency = max_concurrency

    def batch_rerank(
        self, requests: AsyncIterator[BatchRerankRequest], call: CallContext
    ) -> AsyncIterator[BatchRerankResponse]:
        """Rerank a stream of items; see `run_batch`."""
        return run_batch(self._service.rerank, requests, call, self._max_concurrency())


async def run_batch(
    rerank: Rerank,
    requests: AsyncIterator[BatchRerankRequest],
    call: CallContext,
    max_concurrency: int,
    context_of: ContextOf | None = None,
) -> AsyncGenerator[BatchRerankResponse, None]:
    """Rerank every item of `requests`; yield one outcome per item, progress messages, and a summary last.

    Args:
        rerank: Reranks one request.
        requests: Optional options, then n items, n >= 0.
        call: Context of the stream.
        max_concurrency: Maximum items held, at least 1; the options may lower it.
        context_of: Changes the contexts of items; `None`: they stay as they are.

    Raises:
        ServiceError: `INVALID_REQUEST` for a message out of order. A failed item is an outcome with its status.
    """
    first = await anext(requests, None)
    if first is not None and first.which_message() is None:
        raise invalid_request([FieldViolation("item", "the first message must hold either options or an item")])
    options = (first and first.options) or messages.BatchOptions()
    run = _BatchRun(rerank, call, options, _concurrency(options, max_concurrency), context_of)
    reader = asyncio.create_task(run.read(first.item if first else None, requests))
    metrics.batches.of().inc()
    try:
        while (finished := await run.outcomes.get()) is not None:
            outcome = await finished
            yield BatchRerankResponse(item=outcome)
            run.record(outcome)
            if run.answered % PROGRESS_EVERY == 0:
                yield BatchRerankResponse(progress=run.progress())
        await reader
        yield BatchRerankResponse(summary=run.summary())
    finally:
        metrics.batches.of().dec()
        await run.stop(reader)


def _concurrency(options: messages.BatchOptions, max_concurrency: int) -> int:
    requested = options.max_concurrency
    if requested is None:
        return max_concurrency
    if requested < 1:
        rule = f"max_concurrency must be at least 1, was {requested}"
        raise invalid_request([FieldViolation("options.max_concurrency", rule)])
    return min(requested, max_concurrency)


class _BatchRun:
    """State of one stream."""

    def __init__(
        self,
        rerank: Rerank,
        call: CallContext,
        options: messages.BatchOptions,
        concurrency: int,
        context_of: ContextOf | None,
    ) -> None:
        self._rerank = rerank
        self._context_of = context_of
        self._call = structs.replace(call, request_type="batch_rerank")
        self._ordered = options.ordered
        self._defaults = options.defaults
        self._slots = asyncio.Semaphore(concurrency)
        self._tasks: set[asyncio.Task[BatchItemResult]] = set()
        self._started_s = time.monotonic()
        self._received = 0
        self._succeeded = 0
        self._failed = 0
        self._usage = messages.Usage()
        self.outcomes: asyncio.Queue[asyncio.Future[BatchItemResult] | None] = asyncio.Queue()
        """Finished items, in item order if the options say so, then `None`."""

    async def read(self, first_item: BatchItem | None, requests: AsyncIterator[BatchRerankRequest]) -> None:
        """Start a task for each item as slots become free; put `None` when all are finished."""
        try:
            if first_item is not None:
                await self._slots.acquire()
                self._start(first_item)
            while True:
                await self._slots.acquire()
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
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[BatchItemResult]) -> None:
        self._tasks.discard(task)
        if not self._ordered:
            self.outcomes.put_nowait(task)

    async def _answer(self, item: BatchItem, index: int) -> BatchItemResult:
        call = structs.replace(self._call, request_id=f"{self._call.request_id}-{index}")
        if self._context_of is not None:
            call = self._context_of(item, call)
        result = BatchItemResult(item_id=item.item_id, item_index=index, status=OK)
        try:
            request = apply_defaults(item.request or RerankRequest(), self._defaults)
            result.response = await self._rerank(request, call)
        except ServiceError as error:
            result.status = status_of(error)
        except Exception:  # a fault of ours fails this item alone
            _log.exception("batch item failed", request_id=call.request_id)
            result.status = status_of(internal_error(call.request_id))
        return result

    @property
    def answered(self) -> int:
        """Items whose outcome the caller has read."""
        return self._succeeded + self._failed

    def record(self, outcome: BatchItemResult) -> None:
        """Count an outcome that was read, and free its slot."""
        self._slots.release()
        if outcome.response is None:
            self._failed += 1
            return
        self._succeeded += 1
        if outcome.response.usage is not None:
            add_usage(self._usage, outcome.response.usage)

    def progress(self) -> messages.BatchProgress:
        """Build a progress message."""
        return messages.BatchProgress(
            items_received=self._received, items_succeeded=self._succeeded, items_failed=self._failed
        )

    def summary(self) -> messages.BatchSummary:
        """Build the summary."""
        return messages.BatchSummary(
            items_received=self._received,
            items_succeeded=self._succeeded,
            items_failed=self._failed,
            usage=self._usage,
            latency_ms=elapsed_ms(self._started_s),
        )

    async def stop(self, reader: asyncio.Task[None]) -> None:
        """Cancel unfinished tasks and wait for them to end."""
        unfinished = [reader, *self._tasks]
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)


def apply_defaults(request: RerankRequest, defaults: RerankRequest | None) -> RerankRequest:
    """Set unset fields of `request` to those of `defaults`, in place; documents have no default."""
    if defaults is not None:
        for name in _DEFAULTED_FIELDS:
            if getattr(request, name) == getattr(_UNSET, name):
                setattr(request, name, getattr(defaults, name))
    return request
