"""Settings of the strategy cascade."""

from __future__ import annotations

import math

import msgspec

from rerankd.strategies.common_settings import CommonConfig, RerankerSettings


class StageSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One stage of a cascade."""

    model: str
    """The model that scores: an alias, `provider/model`, a model of the settings, or another reranker."""
    keep: int | float | None = None
    """Documents that go on to the next stage, the best of this one: a number, or a share above 0 and below 1. Every
    stage but the last needs it."""
    name: str = ""
    """Name in answers, spans and explanations; default: the model."""
    required: bool = False
    """Whether the call fails if the stage does; otherwise the stage before it answers, and the answer says so. Without
    the first stage there is no answer, so it is always required."""

    def problems(self, path: str, *, is_last: bool) -> list[str]:
        """Return what is wrong with the values, one sentence each."""
        keep = self.keep
        if is_last:
            said = "the last stage keeps what config.top_n or the request's top_n says; leave it out"
            return [] if keep is None else [f"{path}.keep: {said}"]
        if keep is None:
            return [f"{path}.keep is missing: how many documents go on to the next stage"]
        if isinstance(keep, int) and keep >= 1:
            return []
        if isinstance(keep, float) and 0 < keep < 1:
            return []
        return [f"{path}.keep must be a whole number of at least 1, or a share above 0 and below 1, is {keep:g}"]

    def kept(self, documents: int) -> int:
        """Return how many of so many documents, n >= 1, go on to the next stage."""
        if self.keep is None:
            return documents
        wanted = math.ceil(self.keep * documents) if isinstance(self.keep, float) else self.keep
        return max(1, min(wanted, documents))


class CascadeConfig(CommonConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Several models in turn, each for the best documents of the one before."""

    stages: list[StageSettings]
    """The stages, cheapest first, at least two."""
    budget_ms: float | None = None
    """Milliseconds for all stages. A stage that has not ended by then is given up, further ones are skipped, and the
    last one that has ended answers. The first stage always ends."""
    budget_usd: float | None = None
    """US dollars for all stages. A stage that would exceed it by its model's price is skipped with all further ones. A
    model whose price is not known counts when its cost is."""

    def problems(self, path: str) -> list[str]:
        """See `CommonConfig.problems`."""
        found = super().problems(path)
        if len(self.stages) < 2:
            found.append(f"{path}.stages must be at least 2, is {len(self.stages)}; dedicated-model has one")
        for index, stage in enumerate(self.stages):
            found += stage.problems(f"{path}.stages[{index}]", is_last=index == len(self.stages) - 1)
        found += [
            f"{path}.{name} must be above 0, is {value:g}"
            for name, value in (("budget_ms", self.budget_ms), ("budget_usd", self.budget_usd))
            if value is not None and not 0 < value < math.inf
        ]
        return found


class CascadeSettings(RerankerSettings, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="cascade"):
    """A reranker of the strategy cascade."""

    config: CascadeConfig
    """Configuration of the strategy."""
