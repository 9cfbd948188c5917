"""Strategies as objects, for `Reranker(strategy=...)`: the configurations of the settings file's `rerankers`.

>>> from rerankd import Reranker
>>> from rerankd.sdk.strategies import Cascade, Stage
>>> stages = [Stage(model="local/bm25", keep=20), Stage(model="local/ms-marco-minilm-l12-v2")]
>>> with Reranker(strategy=Cascade(stages=stages)) as reranker:
...     response = reranker.rerank(query="apple", documents=["a pear", "an apple"])
>>> response.model, response.results[0].index
('cascade', 1)
"""

from __future__ import annotations

from typing import Any, Final, get_args

import msgspec
from msgspec import structs

from rerankd.configuration.shape import check
from rerankd.settings import Settings, SettingsError
from rerankd.strategies.cascade_settings import CascadeConfig as Cascade
from rerankd.strategies.cascade_settings import StageSettings as Stage
from rerankd.strategies.common_settings import CommonConfig, RerankerSettings
from rerankd.strategies.dedicated_settings import DedicatedModelConfig as DedicatedModel
from rerankd.strategies.fusion.settings import FusionConfig as Fusion
from rerankd.strategies.fusion.settings import FusionMember
from rerankd.strategies.heuristic.settings import HeuristicConfig as Heuristic
from rerankd.strategies.heuristic.settings import HeuristicWeights
from rerankd.strategies.heuristic.settings import RecencySettings as Recency
from rerankd.strategies.judge.settings import LlmJudgeConfig as LlmJudge
from rerankd.strategies.listwise.settings import LlmListwiseConfig as LlmListwise
from rerankd.strategies.settings import AnyReranker, reranker_problems

__all__ = [
    "Cascade",
    "DedicatedModel",
    "Fusion",
    "FusionMember",
    "Heuristic",
    "HeuristicWeights",
    "LlmJudge",
    "LlmListwise",
    "Recency",
    "Stage",
    "with_strategy",
]

_SETTINGS_OF: Final[dict[type[CommonConfig], type[RerankerSettings]]] = {
    field.type: settings
    for settings in get_args(AnyReranker)
    for field in structs.fields(settings)
    if field.name == "config"
}
"""Settings of a reranker by the type of its configuration."""


def with_strategy(settings: Settings, strategy: CommonConfig) -> Settings:
    """Return settings with a reranker of this strategy, which is the default model; its key is the strategy's name.

    Raises:
        SettingsError: The strategy is none, or its values are invalid; the message names each as in a settings file.
    """
    wanted = _SETTINGS_OF.get(type(strategy))
    if wanted is None:
        known = ", ".join(sorted(each.__name__.removesuffix("Config") for each in _SETTINGS_OF))
        raise SettingsError([f"strategy must be one of {known}, is {type(strategy).__name__}"])
    key = str(wanted.__struct_config__.tag)
    found: dict[str, Any] = {key: msgspec.to_builtins(wanted(config=strategy))}
    problems: list[str] = []
    data = check(found, dict[str, AnyReranker], "rerankers", problems)
    if not problems:
        rerankers = msgspec.convert(data, dict[str, AnyReranker])
        problems = reranker_problems(rerankers)
    if problems:
        raise SettingsError(problems)
    return structs.replace(settings, rerankers={**settings.rerankers, **rerankers}, default_model=key)
