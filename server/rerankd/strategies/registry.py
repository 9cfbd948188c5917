"""The table of strategies: the settings of each, and what builds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from rerankd.contract import messages
from rerankd.strategies import cascade, dedicated
from rerankd.strategies.cascade_settings import CascadeSettings
from rerankd.strategies.common_settings import RerankerSettings
from rerankd.strategies.dedicated_settings import DedicatedModelSettings
from rerankd.strategies.fusion import strategy as fusion
from rerankd.strategies.fusion.settings import FusionSettings
from rerankd.strategies.heuristic import strategy as heuristic
from rerankd.strategies.heuristic.settings import HeuristicSettings
from rerankd.strategies.judge import llm_judge
from rerankd.strategies.judge.settings import LlmJudgeSettings
from rerankd.strategies.listwise import llm_listwise
from rerankd.strategies.listwise.settings import LlmListwiseSettings
from rerankd.strategies.parts import Parts
from rerankd.strategies.strategy import Strategy


class Entry(NamedTuple):
    """One strategy."""

    strategy: messages.Strategy
    build: Callable[[Any, Parts], Strategy]
    """Builds the strategy of a reranker from its `config`, a value of the type that the settings have."""


STRATEGIES: Final[Mapping[type[RerankerSettings], Entry]] = {
    DedicatedModelSettings: Entry(messages.Strategy.DEDICATED_MODEL, dedicated.build),
    FusionSettings: Entry(messages.Strategy.FUSION, fusion.build),
    HeuristicSettings: Entry(messages.Strategy.HEURISTIC, heuristic.build),
    CascadeSettings: Entry(messages.Strategy.CASCADE, cascade.build),
    LlmJudgeSettings: Entry(messages.Strategy.LLM_JUDGE, llm_judge.build),
    LlmListwiseSettings: Entry(messages.Strategy.LLM_LISTWISE, llm_listwise.build),
}
"""Strategies by the type of their settings."""
