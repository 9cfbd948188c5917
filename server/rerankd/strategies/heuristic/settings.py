"""Settings of the strategy heuristic."""

from __future__ import annotations

import math
from typing import Final

import msgspec

from rerankd.strategies.common_settings import CommonConfig, RerankerSettings

_MOST_WEIGHT: Final = 1e6
_MOST_BOOST: Final = 100.0


class HeuristicWeights(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What each feature of a document counts; only ratios matter. A feature that is equal for all counts nothing."""

    bm25: float = 1.0
    """Words shared with the query, as `local/bm25` weighs them."""
    phrase: float = 1.0
    """Neighbouring words of the query that are neighbours in the document too."""
    proximity: float = 1.0
    """How near to each other the query's words stand."""
    prior: float = 3.0
    """`prior_score` of the documents, scaled by its own distribution, where all of them have one."""
    recency: float = 1.0
    """Age of the document; only with `recency`."""
    length: float = 0.0
    """How near the document's length is to `preferred_words`."""


class RecencySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a document's date is found, and how fast its value fades."""

    field: str
    """Key in a document's `metadata`, or in its `fields`: a date (`2026-11-29`, with or without a time), or seconds or
    milliseconds since 1970."""
    half_life_days: float = 30.0
    """Days after which a date is worth half as much."""


class HeuristicConfig(CommonConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Words, phrases, dates and lengths; no model is asked."""

    weights: HeuristicWeights = HeuristicWeights()
    """Weights of the features."""
    fields: dict[str, float] = msgspec.field(default_factory=dict)
    """Boosts of document fields by name, such as `{title: 2}`: words of the title count twice. Fields without a boost
    count once, `text` is the document's text, and a boost of 0 leaves a field out."""
    recency: RecencySettings | None = None
    """Prefers recent documents; `null`: dates do not count."""
    preferred_words: int = 200
    """Length that `weights.length` prefers, in words."""

    def problems(self, path: str) -> list[str]:
        """Return what is wrong with the values, one sentence each."""
        found = super().problems(path)
        weights = {name: getattr(self.weights, name) for name in HeuristicWeights.__struct_fields__}
        found += [
            f"{path}.weights.{name} must be from 0 to {_MOST_WEIGHT:,.0f}, is {weight:g}"
            for name, weight in weights.items()
            if not 0 <= weight <= _MOST_WEIGHT
        ]
        if not any(weights.values()):
            found.append(f"{path}.weights: all weights are 0; give one feature a weight above 0")
        found += [
            f"{path}.fields.{name} must be from 0 to {_MOST_BOOST:g}, is {boost:g}"
            for name, boost in self.fields.items()
            if not 0 <= boost <= _MOST_BOOST
        ]
        if self.recency is not None and not (math.isfinite(half := self.recency.half_life_days) and half > 0):
            found.append(f"{path}.recency.half_life_days must be above 0, is {half:g}")
        if self.preferred_words < 1:
            found.append(f"{path}.preferred_words must be at least 1, is {self.preferred_words}")
        return found


class HeuristicSettings(RerankerSettings, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="heuristic"):
    """A reranker of the strategy heuristic."""

    config: HeuristicConfig = HeuristicConfig()
    """Configuration of the strategy."""
