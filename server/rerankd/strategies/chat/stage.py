"""A chat model as the stage of a reranker: recorded, admitted and reported like a member."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from msgspec import structs

from rerankd.engine.rendering import RenderedRequest
from rerankd.engine.scoring.model_result import ModelResult
from rerankd.engine.scoring.provider_call import takes_no_images, takes_no_query_image
from rerankd.engine.scoring.scoring_context import ScoringContext
from rerankd.engine.scoring.stage_report import StageReport
from rerankd.strategies.chat.model import GroupChatModel
from rerankd_adapters.chat.adapter import ChatReply
from rerankd_adapters.failure import printable

_QUOTED_CHARS: Final = 20
_SEARCHED_CHARS: Final = 200


async def score_as_stage(
    name: str,
    model: GroupChatModel,
    request: RenderedRequest,
    context: ScoringContext,
    score: Callable[[ScoringContext], Awaitable[ModelResult]],
    *,
    indices: Sequence[int] | None = None,
) -> ModelResult:
    """Score with a chat model, in a span of its own, while its provider has its share of the admission.

    Args:
        name: Of the stage.
        model: The chat model.
        request: Of the reranker.
        context: Of the reranker's request.
        score: Asks the model, in the context that it is given.
        indices: Index in the request of each document that the model reads; `None`: all.

    Returns:
        The result, with one stage.

    Raises:
        ServiceError: `CAPABILITY_UNSUPPORTED` for images; any of `score`.
    """
    if request.images is not None:
        raise takes_no_images(model.name, request)
    if request.request.query_image:
        raise takes_no_query_image(model.name)
    indices = request.indices if indices is None else indices
    began_s = time.perf_counter()
    watch = context.record.member(name, model.name, len(indices)) if context.record else None
    if watch is None:
        result = await _held(model, context, score)
    else:
        with watch:
            result = await _held(model, structs.replace(context, record=watch), score)
            watch.model, watch.usage = model.name, result.usage
    result.stages = [
        StageReport(
            name=name,
            model=model.name,
            documents=len(indices),
            latency_ms=round((time.perf_counter() - began_s) * 1000, 3),
            indices=indices,
            usage=result.usage,
        )
    ]
    return result


async def _held(
    model: GroupChatModel, context: ScoringContext, score: Callable[[ScoringContext], Awaitable[ModelResult]]
) -> ModelResult:
    admission, bulkhead = context.admission, model.group.bulkhead
    if admission is None:
        return await score(context)
    admission.hold(bulkhead)
    try:
        return await score(context)
    finally:
        admission.release(bulkhead)


def beginning_of(reply: ChatReply) -> str:
    """Say what a reply has instead of an answer: its first word, which is hardly a text of the request."""
    words = reply.first_token or next(iter(reply.text[:_SEARCHED_CHARS].split()), "")
    written = printable(words[:_QUOTED_CHARS])
    if written:
        return f"it began with {written!r}"
    return f"it wrote nothing ({reply.finish_reason})" if reply.finish_reason else "it wrote nothing"
