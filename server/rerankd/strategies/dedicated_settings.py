"""Settings of the strategy dedicated-model."""

from __future__ import annotations

from rerankd.strategies.common_settings import CommonConfig, RerankerSettings


class DedicatedModelConfig(CommonConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One model, with results, threshold, normalisation and fallbacks of its own."""

    model: str
    """The model that scores: an alias, `provider/model`, a model of the settings, or another reranker."""


class DedicatedModelSettings(
    RerankerSettings, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="dedicated-model"
):
    """A reranker of the strategy dedicated-model."""

    config: DedicatedModelConfig
    """Configuration of the strategy."""
