"""Chat calls go through deployments as rerank calls do: balancing, retries, circuit breakers, limits, records."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.messages import GetModelRequest, ListModelsRequest, ModelStatus, RerankRequest
from rerankd.engine.limits import RequestLimits
from rerankd.engine.models import Models
from rerankd.engine.pipeline import Engine
from rerankd.engine.routing.router import Router
from rerankd.engine.routing.settings import ModelSettings
from rerankd.engine.scoring.scoring_context import ScoringContext
from rerankd.strategies.chat.model import ChatModel, chat_model
from rerankd.telemetry.calls.call_record import CallRecord
from rerankd.telemetry.calls.recorder import Recorder
from rerankd_adapters.base import AdapterError, AdapterErrorKind, ModelProvider
from rerankd_adapters.chat.adapter import ChatCall, ChatMessage, ChatReply
from tests.support.chat import ChatAnswerer, ScriptedChat, echo
from tests.support.providers import ScriptedProvider

CALL = ChatCall(model="", messages=(ChatMessage("user", "hello there"),), max_tokens=5)
FIELD = "rerankers.mine.config.model"


def router_of(providers: Sequence[ModelProvider], **options: Any) -> Router:
    """Route `judge` to every provider's `model`."""
    options.setdefault("deployments", [{"model": f"{each.name}/model"} for each in providers])
    settings = msgspec.convert({"judge": options}, dict[str, ModelSettings])
    return Router(providers, default_model="judge", models=settings, aliases={"short": "judge"})


def opened(*providers: ModelProvider, **options: Any) -> ChatModel:
    return chat_model(Models(router_of(providers, **options)), "short", FIELD)


def failing(kind: AdapterErrorKind, **facts: Any) -> ChatAnswerer:
    async def fail(_: ChatCall) -> ChatReply:
        raise AdapterError(kind, "down", **facts)

    return fail


async def failure_of(model: ChatModel) -> ServiceError:
    with pytest.raises(ServiceError) as raised:
        await model.ask(CALL, ScoringContext())
    return raised.value


def record() -> CallRecord:
    return Recorder().begin(RerankRequest(query="q", documents=["a"]), CallContext(request_id="r1"))


async def test_an_answer_has_reply_usage_and_deployment() -> None:
    provider = ScriptedChat()
    model = opened(provider)
    answer = await model.ask(CALL, ScoringContext(deadline_s=1e9))
    assert (model.name, answer.reply.text) == ("judge", "hello there")
    assert (answer.result.deployment.name, answer.result.attempts) == ("scripted/model", 1)
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (10, 2, 12)
    assert answer.usage.cost == 0.001
    assert [(call.model, call.deadline_s) for call in provider.calls] == [("model", 1e9)]


async def test_a_failure_is_retried_at_another_deployment() -> None:
    down, up = ScriptedChat("a", failing(AdapterErrorKind.UNAVAILABLE)), ScriptedChat("b")
    answers = [await opened(down, up).ask(CALL, ScoringContext()) for _ in range(4)]
    assert {answer.result.deployment.name for answer in answers} == {"b/model"}
    assert len(down.calls) >= 1


async def test_the_circuit_breaker_opens() -> None:
    down = ScriptedChat("a", failing(AdapterErrorKind.UNAVAILABLE))
    model = opened(down, cooldown={"failures": 2}, retries={"max_attempts": 1})
    reasons = [(await failure_of(model)).reason for _ in range(3)]
    assert reasons == [Reason.PROVIDER_UNAVAILABLE, Reason.PROVIDER_UNAVAILABLE, Reason.NO_HEALTHY_DEPLOYMENT]
    assert len(down.calls) == 2


async def test_a_refused_request_is_not_tried_elsewhere() -> None:
    refusing = failing(AdapterErrorKind.REJECTED, status=400)
    providers = [ScriptedChat("a", refusing), ScriptedChat("b", refusing)]
    assert (await failure_of(opened(*providers))).reason is Reason.PROVIDER_REJECTED_REQUEST
    assert sum(len(provider.calls) for provider in providers) == 1


async def test_concurrency_is_limited_by_the_deployment() -> None:
    async def slow(call: ChatCall) -> ChatReply:
        await asyncio.sleep(0)
        return await echo(call)

    provider = ScriptedChat(answer=slow)
    model = opened(provider, deployments=[{"model": "scripted/model", "max_concurrent": 2}])
    await asyncio.gather(*(model.ask(CALL, ScoringContext(), total=8) for _ in range(8)))
    assert (len(provider.calls), provider.most_at_once) == (8, 2)


async def test_tokens_read_and_written_count_towards_the_limit() -> None:
    model = opened(ScriptedChat(), deployments=[{"model": "scripted/model", "tokens_per_minute": 20}])
    for _ in range(2):
        await model.ask(CALL, ScoringContext())
    for _ in range(2):  # 3 tokens are read and 5 may be written by each call
        error = await failure_of(model)
    assert (error.reason, error.metadata["limit"]) == (Reason.RATE_LIMITED, "requests_per_minute")


async def test_a_slow_call_is_hedged() -> None:
    first = asyncio.Event()

    async def slow(call: ChatCall) -> ChatReply:
        if not first.is_set():
            first.set()
            await asyncio.Event().wait()
        return await echo(call)

    provider, other = ScriptedChat("a", slow), ScriptedChat("b")
    router = router_of([provider, other], hedge={"enabled": True, "min_delay_ms": 1}, balancing="least-in-flight")
    model = chat_model(Models(router), "judge", FIELD)
    for deployment in router.resolve("judge").deployments:
        for _ in range(20):
            deployment.latency.observe(0.001)
    answers = [await model.ask(CALL, ScoringContext()) for _ in range(2)]
    assert [answer.result.is_hedged for answer in answers].count(True) == 1
    assert provider.cancelled == 1


async def test_every_call_is_a_chunk_of_the_record() -> None:
    kept = record()
    context = ScoringContext(record=kept)
    model = opened(ScriptedChat())
    for _ in range(2):
        await model.ask(msgspec.structs.replace(CALL, documents=3), context, total=2)
    attempts = [(each.operation, each.chunk_index, each.chunk_count, each.documents) for each in kept.attempts]
    assert attempts == [("chat", 0, 2, 3), ("chat", 1, 2, 3)]
    assert [each.reply.prompt_tokens for each in kept.attempts if each.reply] == [10, 10]


@pytest.mark.parametrize("probabilities", [(0.5,), (0.5, 1.5), (0.0, 0.0), (float("nan"), 0.5), (-0.1, 0.5)])
async def test_probabilities_are_checked(probabilities: tuple[float, ...]) -> None:
    async def answer(_: ChatCall) -> ChatReply:
        return ChatReply(text="yes", label_probabilities=probabilities)

    model = opened(ScriptedChat(answer=answer), retries={"max_attempts": 1})
    with pytest.raises(ServiceError) as raised:
        await model.ask(msgspec.structs.replace(CALL, labels=("no", "yes")), ScoringContext())
    assert raised.value.reason is Reason.PROVIDER_BAD_RESPONSE


async def test_a_provider_without_chat_models_is_refused_when_the_name_is_resolved() -> None:
    with pytest.raises(ServiceError, match="provider scripted has no chat models") as raised:
        opened(ScriptedProvider())
    assert raised.value.reason is Reason.CAPABILITY_UNSUPPORTED
    assert raised.value.violations[0].field == FIELD


async def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ServiceError, match="not found") as raised:
        chat_model(Models(router_of([ScriptedChat()])), "openai/gpt-4.1-mini", FIELD)
    assert (raised.value.reason, raised.value.violations[0].field) == (Reason.MODEL_NOT_FOUND, FIELD)


async def test_a_rerank_call_cannot_name_a_chat_model() -> None:
    engine = Engine(router_of([ScriptedChat()]), RequestLimits())
    with pytest.raises(ServiceError) as raised:
        await engine.rerank(RerankRequest(query="q", documents=["a"], model="judge"), CallContext(request_id="r1"))
    assert raised.value.reason is Reason.CAPABILITY_UNSUPPORTED
    assert "rerankers.my-judge: {strategy: llm-judge, config: {model: judge}}" in raised.value.message


async def test_a_chat_model_is_not_listed_and_described_as_such() -> None:
    engine = Engine(
        router_of([ScriptedProvider(), ScriptedChat("b")], deployments=[{"model": "b/model"}]), RequestLimits()
    )
    listed = await engine.list_models(ListModelsRequest(), CallContext(request_id="r1"))
    assert [model.name for model in listed.models] == ["scripted/model"]
    found = (await engine.get_model(GetModelRequest(model="judge"), CallContext(request_id="r1"))).model
    assert found is not None
    assert (found.status, found.status_detail) == (
        ModelStatus.UNAVAILABLE,
        "a chat model: rerankers of the settings can ask it",
    )
