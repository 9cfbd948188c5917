"""Answers a request of several queries: one call of the service for each, merged into one response."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Final

from msgspec import structs

from rerankd.contract import messages
from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.field_paths import rename_fields
from rerankd.contract.messages import RerankRequest, RerankResponse, RerankResult, ScoreSpace
from rerankd.contract.service import RerankService
from rerankd.engine.scoring.usage import add_usage
from rerankd.gateway.translation.parsed_request import QueryPart

_CONCURRENT: Final = 16
"""Calls at once of one request."""
_DOCUMENT: Final = re.compile(r"^documents\[(\d{1,9})\]")
_QUERY_FIELDS: Final = frozenset({"query", "query_image"})
_ABSOLUTE: Final = frozenset({ScoreSpace.PROBABILITY, ScoreSpace.LOGIT, ScoreSpace.COSINE})


async def rerank_parts(
    service: RerankService, request: RerankRequest, parts: Sequence[QueryPart], call: CallContext
) -> RerankResponse:
    """Score every part; a result's index is that of its pair.

    Args:
        service: Answers one call a part.
        request: Model and options of every part.
        parts: n parts, n >= 1.
        call: Context of the request, and of every call.

    Raises:
        ServiceError: The first failure, which cancels the other calls; `PROVIDER_UNAVAILABLE` if two models answered.
    """
    slots = asyncio.Semaphore(_CONCURRENT)

    async def score(part: QueryPart) -> RerankResponse:
        async with slots:
            try:
                text, image = part.query
                asked = structs.replace(request, query=text, query_image=image, documents=part.documents)
                return await service.rerank(asked, call)
            except ServiceError as error:
                raise _located(error, part) from None

    try:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(score(part)) for part in parts]
    except* ServiceError as failures:
        raise failures.exceptions[0] from None
    return _merged(parts, [task.result() for task in running])


def _merged(parts: Sequence[QueryPart], answers: Sequence[RerankResponse]) -> RerankResponse:
    models = list(dict.fromkeys(answer.model for answer in answers))
    if len(models) > 1:
        message = (
            f"{' and '.join(models[:2])} answered parts of one request, and their scores do not compare; try again"
        )
        raise ServiceError(Reason.PROVIDER_UNAVAILABLE, message, metadata={"models": ",".join(models[:2])})
    first = answers[0]
    usage = messages.Usage()
    results: list[RerankResult] = []
    warnings: dict[str, None] = {}
    for part, answer in zip(parts, answers, strict=True):
        results += [
            RerankResult(index=part.indices[result.index], relevance_score=result.relevance_score)
            for result in answer.results
        ]
        if answer.usage is not None:
            add_usage(usage, answer.usage)
            usage.cached_documents += answer.usage.cached_documents
        warnings.update(dict.fromkeys(answer.meta.warnings if answer.meta is not None else ()))
    extra = first.extra_fields
    if extra is not None and extra.score_space not in _ABSOLUTE:
        warnings[f"scores of {first.model} compare for one query only"] = None
    meta = structs.replace(first.meta or messages.Meta(), billed_units=None, warnings=list(warnings))
    results.sort(key=lambda result: result.index)
    return structs.replace(first, results=results, usage=usage, meta=meta)


def _located(error: ServiceError, part: QueryPart) -> ServiceError:
    """Return the error with query and documents of a part numbered as in the whole request."""

    def renumber(field: str) -> str:
        if field in _QUERY_FIELDS:
            return f"{field}[{part.indices[0]}]"
        return _DOCUMENT.sub(lambda found: f"documents[{part.indices[int(found[1])]}]", field)

    return rename_fields(error, renumber)
