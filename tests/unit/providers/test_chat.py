"""Chat calls of a provider over HTTP: what a model can do is found out once, with one call."""

from __future__ import annotations

import asyncio

import pytest
from msgspec import structs

from rerankd.http.transport_factory import open_transport
from rerankd.http.transport_settings import TransportSettings
from rerankd.providers.factory import open_provider
from rerankd.providers.http_provider import HttpProvider
from rerankd.providers.settings import ProviderSettings
from rerankd_adapters.base import AdapterError, AdapterErrorKind, Endpoint, ProviderCall
from rerankd_adapters.chat.adapter import ChatCall, ChatMessage
from rerankd_adapters.label_reading import LabelReading
from rerankd_adapters.registry import find_provider
from rerankd_adapters.testing import LoopbackServer, Received, ScriptedResponse

GRADE = ChatCall(model="m", messages=(ChatMessage("user", "Grade it."),), max_tokens=1, labels=("0", "1"))
ANSWER = {"choices": [{"message": {"content": '{"answer": "1"}'}, "finish_reason": "stop"}]}


def opened(url: str, transport: object, **options: object) -> HttpProvider:
    provider = find_provider("openai_compatible")
    assert provider is not None
    return HttpProvider(provider, Endpoint(base_url=url), transport, options=options)  # type: ignore[arg-type]  # any provider


def refuses_logprobs(received: Received) -> ScriptedResponse:
    if "logprobs" in received.json():
        return ScriptedResponse.of_json({"error": {"message": "logprobs is not supported"}}, 400)
    return ScriptedResponse.of_json(ANSWER)


async def test_one_call_of_many_finds_out_how_labels_are_read() -> None:
    transport = open_transport(TransportSettings())
    async with LoopbackServer(refuses_logprobs) as server:
        provider = opened(server.url, transport)
        replies = await asyncio.gather(*(provider.chat(GRADE) for _ in range(20)))
        refused = [each for each in server.received if "logprobs" in each.json()]
        others = await asyncio.gather(*(provider.chat(structs.replace(GRADE, model="n")) for _ in range(2)))
        assert len([each for each in server.received if "logprobs" in each.json()]) == 2
    await transport.close()
    assert len(refused) == 1
    assert {(reply.text, reply.reading) for reply in (*replies, *others)} == {("1", LabelReading.JSON_SCHEMA)}


async def test_the_next_call_finds_out_if_the_first_is_cancelled() -> None:
    transport = open_transport(TransportSettings())
    stalls = [True]

    def respond(received: Received) -> ScriptedResponse:
        if stalls.pop() if stalls else False:
            return ScriptedResponse(body=b"{}", stalls_after_bytes=-1)
        return refuses_logprobs(received)

    async with LoopbackServer(respond) as server:
        provider = opened(server.url, transport)
        first = asyncio.create_task(provider.chat(GRADE))
        await server.first_request.wait()
        second = asyncio.create_task(provider.chat(GRADE))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).text == "1"
    await transport.close()
    assert first.cancelled()


async def test_the_way_can_be_set() -> None:
    transport = open_transport(TransportSettings())
    async with LoopbackServer(lambda _: ScriptedResponse.of_json(ANSWER)) as server:
        provider = opened(server.url, transport, label_reading="json_schema")
        reply = await provider.chat(GRADE)
        assert "response_format" in server.received[0].json()
    await transport.close()
    assert (reply.text, reply.reading) == ("1", LabelReading.JSON_SCHEMA)


async def test_a_wrong_way_is_refused_when_the_provider_is_opened() -> None:
    transport = open_transport(TransportSettings())
    with pytest.raises(AdapterError, match="label_reading must be one of auto, logprob_token_ids"):
        opened("http://127.0.0.1:1", transport, label_reading="guess")
    await transport.close()


async def test_a_provider_without_a_rerank_api_refuses_rerank_calls() -> None:
    transport = open_transport(TransportSettings())
    provider = open_provider("openai", ProviderSettings(api_key="k"), {}, transport)
    with pytest.raises(AdapterError, match="has no rerank API") as refused:
        await provider.rerank(ProviderCall(model="gpt-4.1-mini", query="q", documents=["d"]))
    await transport.close()
    assert refused.value.kind is AdapterErrorKind.UNSUPPORTED
    described = provider.describe("gpt-4.1-mini")
    assert described is not None
    assert described.is_chat
    assert described.price is not None


@pytest.mark.parametrize(
    ("name", "model", "is_chat"),
    [
        ("cohere", "command-a-03-2025", True),
        ("cohere", "rerank-v3.5", False),
        ("vllm", "Qwen/Qwen3-Reranker-4B", False),
    ],
)
def test_models_that_are_known_to_chat(name: str, model: str, is_chat: bool) -> None:
    provider = find_provider(name)
    assert provider is not None
    assert provider.is_chat(model) is is_chat


@pytest.mark.parametrize(
    ("name", "model", "problem"),
    [
        ("cohere", "command-a-03-2025", ""),
        ("cohere", "rerank-v3.5", "cohere/rerank-v3.5 is a rerank model"),
        ("vllm", "Qwen/Qwen3-Reranker-4B", ""),
        ("voyage", "rerank-2.5", "provider voyage has no chat models"),
    ],
)
async def test_models_that_cannot_chat(name: str, model: str, problem: str) -> None:
    transport = open_transport(TransportSettings())
    settings = ProviderSettings(api_key="k", base_url="http://127.0.0.1:9")
    provider = open_provider(name, settings, {}, transport)
    assert isinstance(provider, HttpProvider)
    assert provider.chat_problem(model) == problem
    await transport.close()


async def test_chat_has_an_address_of_its_own_unless_the_operator_sets_one() -> None:
    transport = open_transport(TransportSettings())
    bedrock = find_provider("bedrock")
    assert bedrock is not None
    hosts = []
    for base_url in (bedrock.base_url, "http://127.0.0.1:9"):
        provider = HttpProvider(bedrock, Endpoint(base_url=base_url), transport, options={"region": "us-east-1"})
        hosts.append(provider.chat_endpoint.base_url)
    await transport.close()
    assert hosts == ["https://bedrock-runtime.{region}.amazonaws.com", "http://127.0.0.1:9"]
