"""The protocol of a strategy: how a reranker scores."""

from __future__ import annotations

from typing import Protocol

from rerankd.engine.rendering import RenderedRequest
from rerankd.engine.scoring.model_result import ModelResult
from rerankd.engine.scoring.scoring_context import ScoringContext
from rerankd_adapters.base import ScoreSpace, Scoring


class Strategy(Protocol):
    """Scores the documents of a request by asking members. Safe for concurrent tasks of one event loop."""

    @property
    def score_space(self) -> ScoreSpace:
        """What its scores are, as far as is known now."""
        ...

    @property
    def scoring(self) -> Scoring:
        """Whether the score of a document depends on the other documents, as far as is known now."""
        ...

    async def score(self, request: RenderedRequest, context: ScoringContext) -> ModelResult:
        """Score the documents of `request`, n >= 1.

        The caller's deadline and cancellation end the task it runs in; a strategy catches neither. `model`, warnings of
        the request and threshold of the result are set by `Reranker`.

        Raises:
            ServiceError: The members that are needed failed.
        """
        ...
