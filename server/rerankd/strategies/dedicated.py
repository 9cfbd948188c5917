"""Strategy dedicated-model: one model scores all documents."""

from __future__ import annotations

from dataclasses import dataclass

from rerankd.engine.rendering import RenderedRequest
from rerankd.engine.scoring.model_result import ModelResult
from rerankd.engine.scoring.scoring_context import ScoringContext
from rerankd.strategies.dedicated_settings import DedicatedModelConfig
from rerankd.strategies.member import Member
from rerankd.strategies.parts import Parts
from rerankd_adapters.base import ScoreSpace, Scoring


@dataclass(frozen=True, slots=True)
class DedicatedModel:
    """Scores with one model. Satisfies `Strategy`."""

    member: Member

    @property
    def score_space(self) -> ScoreSpace:
        """See `Strategy`."""
        return self.member.score_space

    @property
    def scoring(self) -> Scoring:
        """See `Strategy`."""
        return self.member.scoring

    async def score(self, request: RenderedRequest, context: ScoringContext) -> ModelResult:
        """See `Strategy`."""
        answer = await self.member.ask(request, context, top_n=context.top_n)
        result = answer.scored()
        result.stages = answer.stages
        return result


def build(config: DedicatedModelConfig, parts: Parts) -> DedicatedModel:
    """Build the strategy of a reranker."""
    return DedicatedModel(parts.member("model", config.model))
