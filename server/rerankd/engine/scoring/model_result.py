"""The protocol of whatever can be named as a model, and what it answers."""

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
    """One provider call that was made."""

    indices: Sequence[int]
    """Index in the request of each document it scored."""
    result: ChunkResult


@dataclass(slots=True)
class ModelResult:
    """The scores that a model gave a request: one deployment group, or a strategy over several models."""

    model: str
    """Public name of the model that answered."""
    provider: str
    """Provider that answered, or the one that would have."""
    indices: Sequence[int]
    """Index in the request of each scored document, in any order; fewer than all only where `top_n` is asked for."""
    scores: Sequence[float]
    """Relevance score of each, finite."""
    score_space: ScoreSpace
    """What the scores are."""
    usage: Usage
    """What was consumed."""
    calls: Sequence[ChunkCall] = ()
    """Every provider call, in the order of their chunks."""
    warnings: Sequence[str] = field(default_factory=list)
    """What the caller should know, beside the warnings of the provider calls."""


class ScoringModel(Protocol):
    """A model that can be asked for scores. Safe for any number of tasks of one event loop."""

    @property
    def name(self) -> str:
        """Public name, as responses, metrics and errors show it."""
        ...

    @property
    def fallback_on(self) -> Collection[str]:
        """Reasons of failures after which the next model is asked."""
        ...

    @property
    def normalisation(self) -> Normalisation:
        """What is made of the scores where the caller does not say."""
        ...

    async def score(self, request: RenderedRequest, context: ScoringContext) -> ModelResult:
        """Score the documents of `request`; of none, without asking anybody.

        Raises:
            ServiceError: What the caller should know of the failure.
        """
        ...
