"""Makes the answers of a fusion's members comparable, before their scores are brought to one scale."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rerankd.contract.messages import Strategy
from rerankd.engine.models import Models
from rerankd.engine.scoring.model_result import ModelResult
from rerankd.strategies.fusion.methods import MemberScores, Method, competition_ranks
from rerankd_adapters.base import ScoreSpace, Scoring


def member_scores(result: ModelResult, positions: Mapping[int, int], method: Method) -> MemberScores:
    """Return the scores of one member as `method` takes them.

    Probabilities become log-odds: those of a trained model crowd near 0 and 1, where a difference that decides the
    order is too small to count beside another member's. Scores of which only the order has a meaning become ranks.

    Args:
        result: Of the member.
        positions: Position among the documents of the request by index in the request.
        method: Of the fusion.
    """
    at = list(map(positions.__getitem__, result.indices))
    if method.uses_ranks:
        return MemberScores(at, result.scores)
    if not result.has_scale:
        return MemberScores(at, [-float(rank) for rank in competition_ranks(result.scores)])
    if result.score_space is ScoreSpace.PROBABILITY:
        return MemberScores(at, _log_odds(result.scores))
    return MemberScores(at, result.scores, result.minimum_score)


def _log_odds(probabilities: Sequence[float]) -> list[float]:
    """Map probabilities to log-odds; 0 and 1, as rounded scores and grades have them, lie one beyond the others."""
    within = [math.log(value / (1 - value)) for value in probabilities if 0 < value < 1]
    lowest, highest = min(within, default=0.0) - 1, max(within, default=0.0) + 1
    rest = iter(within)
    return [next(rest) if 0 < value < 1 else lowest if value <= 0 else highest for value in probabilities]


def is_ranked_only(result: ModelResult, method: Method) -> bool:
    """Whether a method for scores gets a member's ranks instead, since its scores have no scale."""
    return not (method.uses_ranks or result.has_scale)


def is_order_only(models: Models, name: str) -> bool:
    """Whether a model is known to order documents without scores that have a scale; needs all rerankers built."""
    if (composed := models.composed.get(models.router.name_of(name))) is not None:
        info = composed.describe()
        if info.strategy is Strategy.DEDICATED_MODEL:
            return is_order_only(models, info.members[0])
        return info.strategy is Strategy.LLM_LISTWISE
    group = models.router.find(name)
    model = None if group is None else group.describe()
    return model is not None and model.capabilities.scoring is Scoring.LISTWISE and not model.capabilities.has_scale


def raw_scores(result: ModelResult, positions: Mapping[int, int]) -> Sequence[float | None]:
    """Return the member's own score of each document of the request; `None` for those it left out."""
    raw: list[float | None] = [None] * len(positions)
    for index, score in zip(result.indices, result.scores, strict=True):
        raw[positions[index]] = score
    return raw
