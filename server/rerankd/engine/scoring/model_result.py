"""The protocol of a model that a caller can name, and the type of its results."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct, field

from rerankd.contract.messages import Contribution, Usage
from rerankd.engine.ranking import Normalisation
from rerankd.engine.rendering import RenderedRequest
from rerankd.engine.routing.chunk_executor import ChunkResult
from rerankd.engine.scoring.scoring_context import ScoringContext
from rerankd.engine.scoring.stage_report import StageReport
from rerankd.telemetry.calls.call_record import RerankerIdentity
from rerankd_adapters.base import ScoreSpace
from rerankd_adapters.call import RoutedReply


class ChunkCall(NamedTuple):
    """One provider call."""

    indices: Sequence[int]
    """Index in the request of each document of the call."""
    result: ChunkResult[RoutedReply]


class ModelResult(Struct):
    """The scores of a request by one model: a deployment group, or a strategy over several models."""

    model: str
    """Public name of the model that answered."""
    provider: str
    """Provider that answered; the group's first if no call was needed."""
    indices: Sequence[int]
    """Index in the request of each scored document, in any order; fewer than all only if `top_n` was requested, or if a
    reranker could not score some, of which a warning tells."""
    scores: Sequence[float]
    """Relevance score of each of `indices`, finite."""
    score_space: ScoreSpace
    """Score space of `scores`."""
    usage: Usage
    """What was consumed."""
    calls: Sequence[ChunkCall] = ()
    """Every provider call, in chunk order."""
    warnings: Sequence[str] = field(default_factory=list)
    """Warnings for the caller, in addition to those of the provider calls."""
    stages: Sequence[StageReport] = ()
    """Members of a reranker, in its order, each followed by those within it; empty for a model."""
    explain: Callable[[int], Sequence[Contribution]] | None = None
    """Returns what each part of a reranker said of the document at an index; `None` for a model."""
    score_threshold: float | None = None
    """Lowest score that is kept unless the request sets one; on the scale after normalisation."""
    has_scale: bool = False
    """Whether `scores` are values on a known scale; `False`: only their order has a meaning."""
    minimum_score: float | None = None
    """Lowest score that the model could give; `None` if it is not known."""


class ScoringModel(Protocol):
    """A model that a caller can name. Safe for concurrent tasks of one event loop."""

    @property
    def name(self) -> str:
        """Public name, as in responses, metrics and errors."""
        ...

    @property
    def identity(self) -> RerankerIdentity | None:
        """Which reranker it is; `None` for other models."""
        ...

    @property
    def bulkhead(self) -> str:
        """Whose share of the admission its calls take: its provider's, or its own."""
        ...

    @property
    def fallback_on(self) -> Collection[str]:
        """Error reasons after which the next model is tried."""
        ...

    @property
    def normalisation(self) -> Normalisation:
        """Normalisation of the scores unless the request sets one."""
        ...

    @property
    def fallbacks(self) -> Sequence[str]:
        """Names of the models to try if this one fails."""
        ...

    @property
    def top_n(self) -> int | None:
        """Number of results unless the request sets one; `None` for all."""
        ...

    async def score(self, request: RenderedRequest, context: ScoringContext) -> ModelResult:
        """Score the documents of `request`; makes no provider call if there are none.

        Raises:
            ServiceError: The model failed.
        """
        ...


def stages_of(result: ModelResult) -> Sequence[StageReport]:
    """Return the stages of a result: the members of a reranker, or the stages that the model's replies tell of."""
    if result.stages:
        return result.stages
    return [
        StageReport(
            name=stage.name,
            model=stage.model,
            documents=stage.documents,
            latency_ms=stage.latency_ms,
            indices=list(map(indices.__getitem__, stage.positions)),
            shortened_by=stage.shortened_by,
        )
        for indices, chunk in result.calls
        for stage in chunk.reply.stages
    ]
