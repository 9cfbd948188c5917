"""The chunks of one request, all at once, each on its own way to an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

from rerankd.contract.errors import ServiceError
from rerankd.engine.routing.chunk_executor import ChunkExecutor, ChunkResult
from rerankd.engine.routing.model_group import ModelGroup
from rerankd.engine.scoring.tokens import ESTIMATE
from rerankd.telemetry.call import CallRecord
from rerankd_adapters.base import ProviderCall


@dataclass(slots=True)
class ScoringContext:
    """What the chunks of one request have in common."""

    group: ModelGroup
    """Who answers."""
    has_fallback: bool = False
    """Whether another model is tried when this one fails."""
    record: CallRecord | None = None
    """Where what happens is noted."""
    numbers: Iterator[int] = field(default_factory=count)
    """Gives each chunk of the request its number."""

    def room(self, calls: int) -> asyncio.Semaphore:
        """Bound how many of the calls of one request are made at once, to what the deployments take at once.

        A request of more calls than there are places and queue would else refuse itself.
        """
        return asyncio.Semaphore(self.group.max_concurrent or calls)


async def dispatch(
    common: ScoringContext, call: ProviderCall, chunks: Sequence[range], positions: Sequence[int], of: int | None = None
) -> list[ChunkResult]:
    """Make one call for each chunk: all at once, or as many as the deployments take at once.

    Args:
        common: Who answers.
        call: The query and the documents of all chunks.
        chunks: Positions in `call` of the documents of each chunk.
        positions: Place in the caller's request of each document of `call`, for errors that name one.
        of: Chunks of the request in all; default: those of `chunks`.

    Returns:
        One answer a chunk, in the order of `chunks`.

    Raises:
        ServiceError: What the caller should know of the first failure; the other chunks are cancelled.
    """
    total = of or len(chunks)
    if len(chunks) == 1:
        return [await _executor(common, call, positions, total).run()]
    room = common.room(len(chunks))

    async def answer(chunk: range) -> ChunkResult:
        async with room:
            part, places = call.take(chunk), positions[chunk.start : chunk.stop]
            return await _executor(common, part, places, total).run()

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(answer(chunk)) for chunk in chunks]
    except* ServiceError as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


def _executor(common: ScoringContext, call: ProviderCall, positions: Sequence[int], total: int) -> ChunkExecutor:
    index = next(common.numbers)
    watch = common.record.chunk(index, total) if common.record else None
    tokens = _tokens(common.group, call)
    return ChunkExecutor(common.group, call, tokens, positions, common.has_fallback, is_part=total > 1, watch=watch)


def _tokens(group: ModelGroup, call: ProviderCall) -> int:
    """Estimate what a call reads, where a deployment of the group counts tokens."""
    if not group.limits_tokens:
        return 0
    query = ESTIMATE.count(call.query)
    return sum(query + ESTIMATE.count(document) for document in call.documents)
