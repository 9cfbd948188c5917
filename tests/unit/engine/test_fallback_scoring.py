"""FallbackScoring: one deadline, one budget of retries and one slot cover a call with all its fallbacks."""

import asyncio
import time
from dataclasses import replace

import pytest

from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.messages import RerankRequest, RerankResponse
from rerankd.engine.limits import RequestLimits
from rerankd.engine.pipeline import Engine
from rerankd.engine.routing.router import Router
from rerankd.engine.routing.settings import DeploymentSettings, ModelSettings, RetrySettings
from rerankd_adapters.base import AdapterErrorKind, ProviderCall, ProviderReply
from tests.support.engines import failing, hanging
from tests.support.providers import FACTS, Answer, ScriptedProvider, by_length, calls_of

CALL = CallContext(request_id="r")
AT_ONCE = RetrySettings(initial_delay_ms=0)


def provider_of(answer: Answer, models: int, max_documents: int | None = None) -> ScriptedProvider:
    facts = replace(FACTS, max_documents=max_documents)
    return ScriptedProvider("scripted", facts, **{f"m{number}": answer for number in range(models)})


def engine(*providers: ScriptedProvider, **limits: float) -> Engine:
    models = {f"{each.name}/*": ModelSettings(retries=AT_ONCE) for each in providers}
    router = Router(providers, default_model=f"{providers[0].name}/m0", models=models)
    return Engine(router, RequestLimits(**limits))  # type: ignore[arg-type]  # given by name


def request(documents: int = 1, fallbacks: int = 0, model: str = "") -> RerankRequest:
    names = [f"scripted/m{number}" for number in range(1, fallbacks + 1)]
    return RerankRequest(model=model, query="q", documents=["a" * (n + 1) for n in range(documents)], fallbacks=names)


async def reason_of(tested: Engine, asked: RerankRequest) -> Reason:
    with pytest.raises(ServiceError) as raised:
        await tested.rerank(asked, CALL)
    return raised.value.reason


async def test_a_call_with_five_failing_fallbacks_makes_one_call_each_and_its_retries_once() -> None:
    provider = provider_of(failing(), 6)
    assert await reason_of(engine(provider), request(fallbacks=5)) is Reason.PROVIDER_UNAVAILABLE
    assert [call.model for call in provider.calls] == ["m0"] * 3 + ["m1", "m2", "m3", "m4", "m5"]


async def test_fallbacks_have_the_retries_that_the_first_model_left() -> None:
    provider = provider_of(failing(), 3)
    provider._answers["m0"] = failing(AdapterErrorKind.CREDENTIALS)
    assert await reason_of(engine(provider), request(fallbacks=2)) is Reason.PROVIDER_UNAVAILABLE
    assert [call.model for call in provider.calls] == ["m0"] + ["m1"] * 3 + ["m2"]


async def test_the_first_model_that_is_called_brings_the_retries() -> None:
    hung, provider = provider_of(hanging, 1), ScriptedProvider("second", m0=failing())
    tested = engine(hung, provider, max_concurrent_calls=2)
    tasks = await hung_calls(tested, 1, "scripted/m0")
    asked = RerankRequest(model="scripted/m0", query="q", documents=["a"], fallbacks=["second/m0"])
    assert await reason_of(tested, asked) is Reason.PROVIDER_UNAVAILABLE
    assert len(provider.calls) == 3
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_fallback_moves_on_from_a_deployment_though_no_retry_is_left() -> None:
    failed, second, third = (ScriptedProvider(name, m0=failing()) for name in ("first", "second", "third"))
    third._answers["m0"] = by_length
    models = {
        "first/m0": ModelSettings(retries=AT_ONCE),
        "pair": ModelSettings(deployments=[DeploymentSettings(model=f"{name}/m0") for name in ("second", "third")]),
    }
    router = Router((failed, second, third), default_model="first/m0", models=models)
    asked = RerankRequest(query="q", documents=["a"], fallbacks=["pair"])
    assert (await Engine(router, RequestLimits()).rerank(asked, CALL)).model == "pair"
    assert calls_of((failed, second, third)) == [3, 1, 1]


async def test_every_chunk_of_the_first_model_has_its_retries() -> None:
    failed: set[str] = set()

    async def fail_first(call: ProviderCall) -> ProviderReply:
        (document,) = call.documents
        if document in failed:
            return await by_length(call)
        failed.add(document)
        return await failing()(call)

    provider = provider_of(fail_first, 1, max_documents=1)
    response = await engine(provider).rerank(request(4), CALL)
    assert (len(response.results), len(provider.calls)) == (4, 8)


async def test_a_call_without_a_deadline_ends_at_the_default_one_with_all_its_fallbacks() -> None:
    provider = provider_of(hanging, 6)
    began_s = time.monotonic()
    assert await reason_of(engine(provider, default_timeout_s=1.0), request(fallbacks=5)) is Reason.DEADLINE_EXCEEDED
    assert time.monotonic() - began_s < 5.0, "not a second for each of six models"
    assert provider.cancelled == len(provider.calls) <= 6


async def test_a_callers_deadline_may_be_longer_than_the_default_one() -> None:
    async def slowly(call: ProviderCall) -> ProviderReply:
        await asyncio.sleep(0.1)
        return await by_length(call)

    tested = engine(provider_of(slowly, 1), default_timeout_s=0.01)
    call = CallContext(request_id="r", deadline_s=time.monotonic() + 30)
    assert len((await tested.rerank(request(), call)).results) == 1
    assert await reason_of(tested, request()) is Reason.DEADLINE_EXCEEDED


async def hung_calls(tested: Engine, count: int, model: str) -> list[asyncio.Task[RerankResponse]]:
    tasks = [asyncio.create_task(tested.rerank(request(model=model), CALL)) for _ in range(count)]
    for _ in range(count):
        await asyncio.sleep(0)
    return tasks


async def test_a_hung_provider_leaves_places_to_others_whatever_its_model_is_called() -> None:
    hung, healthy = provider_of(hanging, 2), ScriptedProvider("healthy", m0=by_length)
    tested = engine(hung, healthy, max_concurrent_calls=40)
    tasks = [*await hung_calls(tested, 30, "scripted/m0"), *await hung_calls(tested, 30, "scripted/m1")]
    for _ in range(30):
        assert (await tested.rerank(request(model="healthy/m0"), CALL)).model == "healthy/m0"
    assert len(hung.calls) == 20
    refused = [task for task in tasks if task.done()]
    assert {getattr(task.exception(), "reason", None) for task in refused} == {Reason.OVERLOADED}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert await reason_of(engine(hung, default_timeout_s=0.01), request()) is Reason.DEADLINE_EXCEEDED
    assert (tested._admission.in_flight, tested._admission.held_by("scripted")) == (0, 0)


async def test_a_call_beyond_the_share_of_its_provider_goes_to_its_fallback() -> None:
    hung, healthy = provider_of(hanging, 1), ScriptedProvider("healthy", m0=by_length)
    tested = engine(hung, healthy, max_concurrent_calls=4)
    tasks = await hung_calls(tested, 2, "scripted/m0")
    asked = RerankRequest(model="scripted/m0", query="q", documents=["a"], fallbacks=["healthy/m0"])
    response = await tested.rerank(asked, CALL)
    assert response.model == "healthy/m0"
    assert response.extra_fields is not None
    assert [failed.reason for failed in response.extra_fields.fell_back_from] == ["OVERLOADED"]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
