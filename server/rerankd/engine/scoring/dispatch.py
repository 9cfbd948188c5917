"""Sends the chunks of one request to a model's deployments, all at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from rerankd.contract.errors import ServiceError
from rerankd.engine.routing.chunk_executor import ChunkExecutor, ChunkResult
from rerankd.engine.routing.model_group import ModelGroup
from rerankd.engine.scoring.scoring_context import ScoringContext
from rerankd.engine.scoring.tokens import ESTIMATE
from rerankd_adapters.base import ProviderCall


async def dispatch(
    group: ModelGroup,
    context: ScoringContext,
    call: ProviderCall,
    chunks: Sequence[range],
    indices: Sequence[int],
    total: int | None = None,
) -> list[ChunkResult]:
    """Make one call for each chunk: all at once, or as many as the deployments take at once.

    Args:
        group: Who is called.
        context: Of the rerank call.
        call: The query and the documents of all chunks.
        chunks: Positions in `call` of the documents of each chunk, n >= 1.
        indices: Index in the caller's request of each document of `call`, for errors that name one.
        total: Chunks of the request in all; default: those of `chunks`.

    Returns:
        One result a chunk, in the order of `chunks`.

    Raises:
        ServiceError: What the caller should know of the first failure; the other chunks are cancelled.
    """
    total = total or len(chunks)
    if len(chunks) == 1:
        return [await _executor(group, context, call, indices, total).run()]
    slots = concurrent_calls(group, len(chunks))

    async def execute(chunk: range) -> ChunkResult:
        async with slots:
            part, places = call.take(chunk), indices[chunk.start : chunk.stop]
            return await _executor(group, context, part, places, total).run()

    try:
        async with asyncio.TaskGroup() as tasks:
            executed = [tasks.create_task(execute(chunk)) for chunk in chunks]
    except* ServiceError as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in executed]


def concurrent_calls(group: ModelGroup, calls: int) -> asyncio.Semaphore:
    """Bound how many of the calls of one request are made at once, to what the deployments take at once.

    A request of more calls than the deployments take and queue would else refuse itself.
    """
    return asyncio.Semaphore(group.max_concurrent or calls)


def _executor(
    group: ModelGroup, context: ScoringContext, call: ProviderCall, indices: Sequence[int], total: int
) -> ChunkExecutor:
    number = next(context.chunk_numbers)
    watch = context.record.chunk(number, total) if context.record else None
    tokens = _tokens(group, call)
    return ChunkExecutor(group, call, tokens, indices, context.has_fallback, is_part=total > 1, watch=watch)


def _tokens(group: ModelGroup, call: ProviderCall) -> int:
    """Estimate what a call reads, where a deployment of the group counts tokens."""
    if not group.limits_tokens:
        return 0
    query = ESTIMATE.count(call.query)
    return sum(query + ESTIMATE.count(document) for document in call.documents)
