"""Runs of a reranker by its key, answered by the rerank service like every other call."""

from __future__ import annotations

from collections.abc import Sequence

from rerankd.access.model_bounds import bounds_of
from rerankd.contract import reranker_messages as messages
from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import ServiceError
from rerankd.contract.field_paths import rename_fields
from rerankd.contract.messages import Document, RerankRequest, RerankResponse, StageStatus
from rerankd.contract.service import RerankService
from rerankd.registry.refusals import not_found
from rerankd.registry.trial import RunningEngine


class RerankerRuns:
    """Runs rerankers. Task-safe.

    Args:
        service: Answers.
        engine: Knows the rerankers that are served.
    """

    def __init__(self, service: RerankService, engine: RunningEngine) -> None:
        self._service = service
        self._engine = engine

    async def run(self, request: messages.RunRerankerRequest, call: CallContext) -> messages.RunRerankerResponse:
        """Rerank documents.

        Raises:
            ServiceError: `MODEL_NOT_ALLOWED`, `RERANKER_NOT_FOUND`, and what the rerank service raises.
        """
        bounds = bounds_of(call.caller)
        bounds.require(request.key)
        strategy = self._engine.strategy_of(request.key)
        if strategy is None:
            raise not_found(request.key, filter(bounds.allows, self._engine.served))
        documents = [
            messages.RunDocument(content=each) if isinstance(each, str) else each for each in request.documents
        ]
        try:
            answer = await self._service.rerank(_rerank_request(request, documents), call)
        except ServiceError as error:
            raise rename_fields(error, _own_name) from None
        return messages.RunRerankerResponse(
            id=answer.id,
            results=[
                messages.RunResult(
                    index=result.index,
                    score=result.relevance_score,
                    content=documents[result.index].content,
                    id=documents[result.index].id,
                    metadata=documents[result.index].metadata,
                )
                for result in answer.results
            ],
            reranker=request.key,
            strategy=strategy,
            model=_models_of(answer) if answer.model == request.key else answer.model,
            latency_ms=0.0 if answer.extra_fields is None else answer.extra_fields.latency,
            warnings=[] if answer.meta is None else list(answer.meta.warnings),
        )


def _rerank_request(request: messages.RunRerankerRequest, documents: Sequence[messages.RunDocument]) -> RerankRequest:
    return RerankRequest(
        model=request.key,
        query=request.query,
        documents=[
            Document(text=each.content, id=each.id, prior_score=each.score, metadata=each.metadata)
            for each in documents
        ],
        top_n=request.top_n,
    )


def _own_name(field: str) -> str:
    """Return the name that a field of the rerank request has in the run's."""
    if field == "model":
        return "key"
    is_text = field.startswith("documents[") and field.endswith(".text")
    return field.removesuffix("text") + "content" if is_text else field


def _models_of(answer: RerankResponse) -> str:
    """Return the models that the reranker asked and that scored, joined by "+"."""
    stages = [] if answer.extra_fields is None else answer.extra_fields.stages
    prefixes = tuple(f"{stage.stage}/" for stage in stages)
    asked = [stage for stage in stages if not stage.stage.startswith(prefixes)]
    names = dict.fromkeys(stage.model for stage in asked if stage.status is StageStatus.OK and stage.model)
    return "+".join(names) or answer.model
