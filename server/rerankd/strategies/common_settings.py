"""Settings that all rerankers have, whatever their strategy."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from rerankd.engine.routing.settings import FallbackReason, ModelSettings


class CommonConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a reranker answers, whatever its strategy."""

    top_n: int | None = None
    """Results of an answer unless the request sets `top_n`; `null`: all."""
    score_threshold: float | None = None
    """Results below this relevance score are left out unless the request sets a threshold; on the scale after
    `normalization`. For scores that compare across requests only."""
    normalization: Literal["none", "minmax", "sigmoid"] = "none"
    """Normalisation of the scores unless the request sets one."""
    fallbacks: list[str] = []
    """Models or rerankers to try in this order if this one fails, after those that the request names."""
    fallback_on: tuple[FallbackReason, ...] = ModelSettings().fallback_on
    """Error reasons after which a fallback is tried."""

    def problems(self, path: str) -> list[str]:
        """Return what is wrong with the values, one sentence each.

        Args:
            path: Settings key of this configuration.
        """
        found = []
        if self.top_n is not None and self.top_n < 1:
            found.append(f"{path}.top_n must be at least 1, is {self.top_n}")
        if self.score_threshold is not None and not math.isfinite(self.score_threshold):
            found.append(f"{path}.score_threshold must be a finite number")
        if self.score_threshold is not None and self.normalization == "minmax":
            found.append(
                f"{path}.score_threshold has no meaning with normalization minmax, which makes the best document of"
                " every answer 1"
            )
        return found


class RerankerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="strategy"):
    """One reranker. Each strategy has a subclass, whose tag is the value of `strategy`."""

    config: CommonConfig
    """Configuration of the strategy."""
    status: Literal["active", "disabled"] = "active"
    """A disabled reranker is listed, and calls to it are refused."""
    description: str = ""
    """What it is good for, for lists of models."""
