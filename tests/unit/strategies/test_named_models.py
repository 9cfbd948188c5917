"""The models that settings of a reranker name, of every strategy."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest

from rerankd.strategies.settings import AnyReranker, named_models

CONFIGS: dict[str, dict[str, Any]] = {
    "dedicated-model": {"model": "a", "fallbacks": ["b", "c"]},
    "fusion": {"members": [{"model": "a", "name": "n"}, {"model": "b"}], "fallbacks": ["c"]},
    "heuristic": {"fallbacks": ["a", "b", "c"]},
    "cascade": {"stages": [{"model": "a", "keep": 1}, {"model": "b"}], "fallbacks": ["c"]},
    "llm-judge": {"model": "a", "fallbacks": ["b", "c"]},
    "llm-listwise": {"model": "a", "first_stage": "b", "fallbacks": ["c"]},
}


@pytest.mark.parametrize("strategy", CONFIGS)
def test_every_model_of_a_configuration_is_named(strategy: str) -> None:
    data = {"strategy": strategy, "config": CONFIGS[strategy]}
    settings: AnyReranker = msgspec.convert(data, AnyReranker)
    assert sorted(named_models(settings.config)) == ["a", "b", "c"]


def test_every_strategy_is_here() -> None:
    assert {kind.__struct_config__.tag for kind in get_args(AnyReranker)} == CONFIGS.keys()
