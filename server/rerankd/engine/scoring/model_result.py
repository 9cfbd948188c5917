"""The protocol of a model that a caller can name, and the type of its results."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from rerankd.contract.messages import Usage
from rerankd.engine.ranking import Normalisation
from rerankd.engine.rendering import RenderedRequest
from rerankd.engine.routing.chunk_executor import ChunkResult
from rerankd.engine.scoring.scoring_context import ScoringContext
from rerankd_adapters.base import ScoreSpace


class ChunkCall(NamedTuple):
    """One provider call."""

    indices: Sequence[int]
    """Index in the request of each document of the call."""
    result: ChunkResult


@dataclass(slots=True)
class ModelResult:
    """The scores of a request by one model: a deployment group, or a strategy over several models."""

    model: str
    """Public name of the model that answered."""
    provider: str
    """Provider that answered; the group's first if no call was needed."""
    indices: Sequence[int]
    """Index in the request of each scored document, in any order; fewer than all only if `top_n` was requested."""
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


class ScoringModel(Protocol):
    """A model that a caller can name. Safe for concurrent tasks of one event loop."""

    @property
    def name(self) -> str:
        """Public name, as in responses, metrics and errors."""
        ...

    @property
    def fallback_on(self) -> Collection[str]:
        """Error reasons after which the next model is tried."""
        ...

    @property
    def normalisation(self) -> Normalisation:
        """Normalisation of the scores unless the request sets one."""
        ...

    async def score(self, request: RenderedRequest, context: ScoringContext) -> ModelResult:
        """Score the documents of `request`; makes no provider call if there are none.

        Raises:
            ServiceError: The model failed.
        """
        ...
