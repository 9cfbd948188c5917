"""Own parameters of a model whose deployments have different services."""

from __future__ import annotations

from dataclasses import replace

from rerankd_adapters.base import ModelInfo
from rerankd_adapters.capability import Capabilities
from rerankd_adapters.parameter import Parameters
from rerankd_adapters.providers.infinity import INFINITY
from rerankd_adapters.providers.tei import TEI
from rerankd_adapters.providers.vllm import VLLM
from tests.support.engines import group
from tests.support.providers import ScriptedProvider


class _Declaring(ScriptedProvider):
    def __init__(self, parameters: Parameters) -> None:
        super().__init__()
        self._parameters = parameters

    def describe(self, model: str) -> ModelInfo | None:
        return replace(ModelInfo(model, Capabilities()), parameters=self._parameters)


def test_raw_scores_count_only_where_every_deployment_has_them() -> None:
    mixed = group([_Declaring(VLLM.parameters), _Declaring(TEI.parameters)]).info().parameters
    assert mixed is not None
    assert "max_tokens_per_query" in mixed
    assert {"use_activation", "raw_scores"}.isdisjoint(mixed)

    alike = group([_Declaring(TEI.parameters), _Declaring(INFINITY.parameters)]).info().parameters
    assert alike is not None
    assert "raw_scores" in alike
