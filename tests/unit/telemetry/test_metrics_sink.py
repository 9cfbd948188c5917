"""Labels of the metrics of calls: names callers make up are counted together."""

from __future__ import annotations

import pytest

from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import ServiceError
from rerankd.contract.messages import RerankRequest
from rerankd.engine.limits import RequestLimits
from rerankd.engine.pipeline import Engine
from rerankd.engine.routing.router import Router
from rerankd.telemetry.calls.recorder import Recorder
from rerankd.telemetry.calls.recording import RecordedService
from rerankd.telemetry.metrics.instruments import KnownNames, metrics
from rerankd.telemetry.metrics_sink import MetricsSink
from rerankd_adapters.base import AdapterError, AdapterErrorKind, ModelInfo, ProviderCall, ProviderReply
from tests.support.providers import ScriptedProvider, by_length


class OneRealModel(ScriptedProvider):
    """Describes every model, lists none, and has one."""

    def models(self) -> list[ModelInfo]:
        return []

    def describe(self, model: str) -> ModelInfo | None:
        return ModelInfo(model, self.facts)

    async def rerank(self, call: ProviderCall) -> ProviderReply:
        if call.model != "real":
            raise AdapterError(AdapterErrorKind.MODEL_NOT_FOUND, "no such model", status=404)
        return await by_length(call)


async def test_a_name_is_a_label_once_a_provider_has_answered_for_it() -> None:
    engine = Engine(Router([OneRealModel("hosted")], default_model="hosted/real"), RequestLimits())
    recorder = Recorder([MetricsSink()])
    service = RecordedService(engine, recorder)
    names = ["hosted/real", *(f"hosted/made-up-{number}" for number in range(20)), "nobody/made-up"]
    for name in names:
        try:
            await service.rerank(RerankRequest(model=name, query="q", documents=["a"]), CallContext("r1"))
        except ServiceError:
            assert name != "hosted/real"
    recorder.flush()
    text = metrics.render("text/plain")[0].decode()
    assert 'rerankd_calls_total{code="OK",model="hosted/real",provider="hosted",transport="grpc"}' in text
    assert 'rerankd_calls_total{code="NOT_FOUND",model="other",provider="",transport="grpc"}' in text
    assert 'model="other",outcome="model_not_found",provider="hosted"' in text
    assert "made-up" not in text
    assert [each.name for each in engine.deployments()] == ["hosted/real"]


@pytest.mark.parametrize("limit", [0, 1])
def test_known_names_are_bounded(limit: int) -> None:
    names = KnownNames(limit)
    names.learn("first")
    names.learn("second")
    assert [names(name) for name in ("first", "second")] == ["first" if limit else "other", "other"]
