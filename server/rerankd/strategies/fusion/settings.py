"""Settings of the strategy fusion."""

from __future__ import annotations

import math
from typing import Final, Literal

import msgspec

from rerankd.strategies.common_settings import CommonConfig, RerankerSettings

_MOST_WEIGHT: Final = 1e6


class FusionMember(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One model of a fusion."""

    model: str
    """The model: an alias, `provider/model`, a model of the settings, or another reranker."""
    weight: float | None = None
    """Its share; only the ratios of weights count, and a member of weight 0 is not asked. `null`: 1 for a model that
    compares words, 2 for one whose scores are cosines, 8 for any other."""
    required: bool = False
    """Whether the call fails if this member does; otherwise the others answer without it, and the answer says so."""
    timeout_ms: int | None = None
    """Time after which the member has failed. `null`: nine tenths of the caller's deadline, where there is one."""
    name: str = ""
    """Name in stages and explanations; default: that of the model."""

    def problems(self, path: str) -> list[str]:
        """Return what is wrong with the values, one sentence each."""
        found = []
        if self.weight is not None and not 0 <= self.weight <= _MOST_WEIGHT:
            found.append(f"{path}.weight must be from 0 to {_MOST_WEIGHT:,.0f}, is {self.weight:g}")
        if self.timeout_ms is not None and self.timeout_ms < 1:
            found.append(f"{path}.timeout_ms must be at least 1, is {self.timeout_ms}")
        return found


class FusionConfig(CommonConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Several models at once, their scores or ranks joined."""

    members: list[FusionMember]
    """The models, 2 or more."""
    method: Literal["auto", "weighted", "rrf", "z-score", "dbsf", "rank", "isr", "combmnz"] = "auto"
    """How scores are brought to one scale. `auto`: `dbsf` if the scale of every member that answered is known, else
    `rrf`."""
    rrf_k: float = 60.0
    """Rank constant of `rrf`, for ranks from 1: the higher, the less the first ranks stand out."""

    def problems(self, path: str) -> list[str]:
        """Return what is wrong with the values, one sentence each."""
        found = super().problems(path)
        if len(self.members) < 2:
            found.append(f"{path}.members must be at least 2; one model alone is the strategy dedicated-model")
        for index, member in enumerate(self.members):
            found += member.problems(f"{path}.members[{index}]")
        if self.members and all(member.weight == 0 for member in self.members):
            found.append(f"{path}.members: all weights are 0; give one member a weight above 0")
        if not (math.isfinite(self.rrf_k) and self.rrf_k > 0):
            found.append(f"{path}.rrf_k must be above 0, is {self.rrf_k:g}")
        return found


class FusionSettings(RerankerSettings, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="fusion"):
    """A reranker of the strategy fusion."""

    config: FusionConfig
    """Configuration of the strategy."""
