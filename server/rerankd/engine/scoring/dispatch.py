"""Sends the chunks of one request to a model's deployments, concurrently."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from rerankd.contract.errors import ServiceError
from rerankd.engine.routing.chunk_executor import ChunkExecutor, ChunkResult
from rerankd.engine.routing.model_group import ModelGroup
from rerankd.engine.scoring.scoring_context import ScoringContext
from rerankd.engine.scoring.tokens import ESTIMATE
from rerankd_adapters.base import ProviderCall, ProviderReply
from rerankd_adapters.call import R, RoutedCall


async def dispatch(
    group: ModelGroup,
    context: ScoringContext,
    call: ProviderCall,
    chunks: Sequence[range],
    indices: Sequence[int],
    total: int | None = None,
) -> list[ChunkResult[ProviderReply]]:
    """Execute every chunk; concurrently, up to the concurrency limits of the deployments.

    Args:
        group: Its deployments are called.
        context: Of the rerank call.
        call: The query and the documents of all chunks.
        chunks: n ranges of positions in `call`, n >= 1.
        indices: Index in the request of each document of `call`, for errors that name a document.
        total: Number of chunks of the whole request; default: n.

    Returns:
        n results, in the order of `chunks`.

    Raises:
        ServiceError: The first failure; the other chunks are cancelled.
    """
    total = total or len(chunks)
    if len(chunks) == 1:
        return [await executor_of(group, context, call, _tokens(group, call), indices, total).run()]
    slots = call_semaphore(group, len(chunks))

    async def execute(chunk: range) -> ChunkResult[ProviderReply]:
        async with slots:
            part, part_indices = call.take(chunk), indices[chunk.start : chunk.stop]
            return await executor_of(group, context, part, _tokens(group, part), part_indices, total).run()

    try:
        async with asyncio.TaskGroup() as tasks:
            executed = [tasks.create_task(execute(chunk)) for chunk in chunks]
    except* ServiceError as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in executed]


def call_semaphore(group: ModelGroup, calls: int) -> asyncio.Semaphore:
    """Return a semaphore that limits the concurrent calls of one request to what the deployments take.

    Without it, a request of more calls than fit into limits and queues of the deployments would fail as overloaded.

    Args:
        group: Its deployments' concurrency limits apply.
        calls: Calls of the request; the limit for a group without limits.
    """
    return asyncio.Semaphore(group.max_concurrent or calls)


def executor_of(
    group: ModelGroup,
    context: ScoringContext,
    call: RoutedCall[R],
    tokens: int,
    indices: Sequence[int] = (),
    total: int = 1,
) -> ChunkExecutor[R]:
    """Return the executor of one provider call of a rerank call, recorded as its next chunk.

    Args:
        group: Its deployments are called.
        context: Of the rerank call.
        call: A chunk, or a chat call.
        tokens: Estimated tokens of `call`, for rate limits; 0 if no deployment of the group limits tokens.
        indices: Index in the request of each document of `call`, for errors that name a document.
        total: Number of such calls that the rerank call makes.
    """
    number = next(context.chunk_numbers)
    watch = context.record.chunk(number, total) if context.record else None
    if watch is not None:
        watch.operation = call.operation
    return ChunkExecutor(
        group,
        call,
        tokens,
        indices,
        context.has_fallback,
        has_siblings=total > 1,
        retries=context.retries,
        watch=watch,
        index=number,
    )


def _tokens(group: ModelGroup, call: ProviderCall) -> int:
    """Estimate the tokens of a call; 0 if no deployment of the group limits tokens."""
    if not group.limits_tokens:
        return 0
    query = ESTIMATE.count(call.query)
    return sum(query + ESTIMATE.count(document) for document in call.documents)
