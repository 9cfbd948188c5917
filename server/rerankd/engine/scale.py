"""Converts the scores of a response to the scale that another service's clients expect: 0 to 1, or logits."""

from __future__ import annotations

import math
from typing import Final, Literal

from rerankd.contract.messages import RerankResponse, ScoreSpace
from rerankd.engine.ranking import Normalisation, normalise

Scale = Literal["own", "probability", "logit"]
"""Scale of a response's scores: the model's own, mapped to 0..1, or raw logits."""
_WITHIN_UNIT: Final = frozenset({ScoreSpace.PROBABILITY, ScoreSpace.RELATIVE})
_LEAST: Final = 1e-12
_MOST: Final = 1 - 1e-12


def rescale(answer: RerankResponse, scale: Scale) -> None:
    """Convert the scores in place, by the answer's score space; the order stays.

    Only logits become probabilities and only scores from 0 to 1 become logits; others stay as they are.
    """
    space = answer.extra_fields.score_space if answer.extra_fields is not None else ScoreSpace.UNSPECIFIED
    if scale == "logit" and space in _WITHIN_UNIT:
        for result in answer.results:
            result.relevance_score = _logit(result.relevance_score)
    elif scale == "probability" and space is ScoreSpace.LOGIT:
        scores = normalise([result.relevance_score for result in answer.results], Normalisation.SIGMOID)
        for result, score in zip(answer.results, scores, strict=True):
            result.relevance_score = score


def _logit(probability: float) -> float:
    within = min(max(probability, _LEAST), _MOST)
    return math.log(within / (1 - within))
