"""TEI's gRPC services, called with stubs of its proto and through our adapter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from rerankd.engine.limits import RequestLimits
from rerankd.engine.pipeline import Engine
from rerankd.engine.routing.router import Router
from rerankd.engine.routing.settings import ModelSettings, RetrySettings
from rerankd.rpc.server import GrpcServer
from rerankd.settings import Keepalive, Settings
from rerankd_adapters.base import (
    AdapterError,
    AdapterErrorKind,
    Capabilities,
    ProviderCall,
    ProviderReply,
    ScoreSpace,
    Scoring,
    Truncation,
)
from rerankd_adapters.grpc_upstream.messages import find_method
from rerankd_adapters.providers.tei_grpc import TEI_GRPC
from tests.support.engines import services_of
from tests.support.providers import ScriptedProvider, by_length
from tests.unit.adapters_grpc.fake_upstream import call_of, open_upstream

RERANK = find_method("tei.v1.Rerank", "Rerank")
STREAM = find_method("tei.v1.Rerank", "RerankStream")
INFO = find_method("tei.v1.Info", "Info")
LIMITS = RequestLimits(max_documents=5, max_request_bytes=2000, max_document_chars=1000)
FACTS = Capabilities(
    scoring=Scoring.POINTWISE,
    score_space=ScoreSpace.PROBABILITY,
    max_tokens_per_document=512,
    truncation_default=Truncation.END,
)


async def answer(call: ProviderCall) -> ProviderReply:
    if call.query == "busy":
        raise AdapterError(AdapterErrorKind.RATE_LIMITED, "slow down", retry_after_s=2.5)
    if call.query == "down":
        raise AdapterError(AdapterErrorKind.UNAVAILABLE, "gone")
    if call.query == "slow":
        await asyncio.sleep(60)
    if call.query == "even":
        return ProviderReply(indices=range(len(call.documents)), scores=[0.5] * len(call.documents))
    return await by_length(call)


class Served:
    def __init__(self, port: int, provider: ScriptedProvider, channel: grpc.aio.Channel) -> None:
        self.port = port
        self.provider = provider
        self.channel = channel

    def call(self, method: Any) -> Any:
        make = self.channel.stream_unary if method.streams_requests else self.channel.unary_unary
        return make(method.path, method.request.SerializeToString, method.response.FromString)


@pytest_asyncio.fixture
async def served() -> AsyncIterator[Served]:
    provider = ScriptedProvider(facts=FACTS, model=answer)
    settings = Settings(default_model="scripted/model", limits=LIMITS)
    once = {"*": ModelSettings(retries=RetrySettings(max_attempts=1))}
    engine = Engine(Router([provider], default_model="scripted/model", models=once), settings.limits)
    server = GrpcServer(services_of(engine), Keepalive(), 1024 * 1024, settings=lambda: settings)
    port = await server.start(["127.0.0.1"], 0)
    await server.serve()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Served(port, provider, channel)
    await server.stop(0)


async def test_ranks_and_what_they_took(served: Served) -> None:
    response = await served.call(RERANK)(RERANK.request(query="q", texts=["a", "bbb", "cc"]))

    assert [(rank.index, rank.score, rank.HasField("text")) for rank in response.ranks] == [
        (1, 3.0, False),
        (2, 2.0, False),
        (0, 1.0, False),
    ]
    assert (response.metadata.compute_chars, response.metadata.compute_tokens) == (9, 3)
    assert response.metadata.total_time_ns > 0


async def test_blank_texts_are_ranked_last_and_not_sent(served: Served) -> None:
    response = await served.call(RERANK)(RERANK.request(query="q", texts=["", "a", " ", "bb"]))

    assert [rank.index for rank in response.ranks] == [3, 1, 0, 2]
    assert [call.documents for call in served.provider.calls] == [["a", "bb"]]


async def test_unknown_direction_is_refused(served: Served) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await served.call(RERANK)(RERANK.request(query="q", texts=["a"], truncate=True, truncation_direction=5))

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.details() == "truncation_direction must be 0 (right) or 1 (left), was 5"


@pytest.mark.parametrize(("is_raw", "score"), [(False, 0.5), (True, 0.0)])
async def test_raw_scores_are_logits(served: Served, is_raw: bool, score: float) -> None:
    response = await served.call(RERANK)(RERANK.request(query="even", texts=["a", "b"], raw_scores=is_raw))

    assert [rank.score for rank in response.ranks] == [score, score]


async def test_texts_come_back_when_asked_for(served: Served) -> None:
    response = await served.call(RERANK)(RERANK.request(query="q", texts=["a", "bb"], return_text=True))

    assert [rank.text for rank in response.ranks] == ["bb", "a"]


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        ({}, None),
        ({"truncate": True}, None),  # what the model does by itself
        ({"truncate": True, "truncation_direction": 1}, Truncation.START),
        ({"truncation_direction": 1}, None),
    ],
)
async def test_truncation(served: Served, fields: dict[str, Any], asked: Truncation | None) -> None:
    await served.call(RERANK)(RERANK.request(query="q", texts=["a"], **fields))

    assert served.provider.calls[0].truncation is asked


async def test_stream_of_texts(served: Served) -> None:
    async def messages() -> AsyncIterator[Any]:
        for text in ["a", "bbb", "cc"]:
            yield STREAM.request(query="q", text=text, return_text=text == "a")

    response = await served.call(STREAM)(messages())

    assert [(rank.index, rank.text) for rank in response.ranks] == [(1, "bbb"), (2, "cc"), (0, "a")]


def repeat(count: int, **fields: Any) -> Iterator[Any]:
    return (STREAM.request(query="q", **fields) for _ in range(count))


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        (iter(()), "query is required"),
        (repeat(6, text="a"), "more than the 5 texts"),
        (repeat(3, text="a" * 900), "more than the 2000 characters"),
        (iter([STREAM.request(query="q", text="a"), STREAM.request(query="p", text="b")]), "message 2 has another"),
    ],
)
async def test_streams_that_are_refused(served: Served, messages: Iterator[Any], said: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await served.call(STREAM)(messages)

    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert said in str(raised.value.details())
    assert served.provider.calls == []


@pytest.mark.parametrize(
    ("query", "texts", "code"),
    [
        ("q", [], grpc.StatusCode.INVALID_ARGUMENT),
        ("", ["a"], grpc.StatusCode.INVALID_ARGUMENT),
        ("q", ["a"] * 6, grpc.StatusCode.INVALID_ARGUMENT),
        ("busy", ["a"], grpc.StatusCode.RESOURCE_EXHAUSTED),
        ("down", ["a"], grpc.StatusCode.UNAVAILABLE),
    ],
)
async def test_codes(served: Served, query: str, texts: list[str], code: grpc.StatusCode) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await served.call(RERANK)(RERANK.request(query=query, texts=texts))

    trailing: dict[str, Any] = dict(raised.value.trailing_metadata() or ())
    status = status_pb2.Status.FromString(trailing["grpc-status-details-bin"])
    assert raised.value.code() is code
    assert status.details[0].Is(error_details_pb2.ErrorInfo.DESCRIPTOR)


async def refused_fields(call: Awaitable[Any]) -> list[str]:
    """Return the fields of a refused call; the message names each."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    trailing: dict[str, Any] = dict(raised.value.trailing_metadata() or ())
    status = status_pb2.Status.FromString(trailing["grpc-status-details-bin"])
    bad = error_details_pb2.BadRequest()
    assert any(detail.Unpack(bad) for detail in status.details)
    assert all(each.field in str(raised.value.details()) for each in bad.field_violations)
    return [each.field for each in bad.field_violations]


async def test_refusals_name_the_fields_of_tei(served: Served) -> None:
    long = "a" * 1001
    assert await refused_fields(served.call(RERANK)(RERANK.request(query="q"))) == ["texts"]
    assert await refused_fields(served.call(RERANK)(RERANK.request(texts=["a", long]))) == ["query", "texts[1]"]
    assert await refused_fields(
        served.call(STREAM)(iter([STREAM.request(query="q", text="a"), STREAM.request(query="q", text=long)]))
    ) == ["messages[1].text"]


@pytest.mark.parametrize("method", [RERANK, STREAM])
async def test_bytes_that_are_no_message(served: Served, method: Any) -> None:
    make: Any = served.channel.stream_unary if method.streams_requests else served.channel.unary_unary
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await make(method.path)(iter([b"\xff\xff"]) if method.streams_requests else b"\xff\xff")

    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_deadline_ends_the_work(served: Served) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await served.call(RERANK)(RERANK.request(query="slow", texts=["a"]), timeout=0.2)

    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_info_describes_the_default_model(served: Served) -> None:
    info = await served.call(INFO)(INFO.request())

    assert (info.model_id, info.model_type, info.max_input_length) == ("scripted/model", 2, 512)
    assert (info.max_client_batch_size, info.max_concurrent_requests) == (5, RequestLimits().max_concurrent_calls)
    assert info.version


@pytest.mark.parametrize("service", ["tei.v1.Rerank", "tei.v1.Info"])
async def test_health(served: Served, service: str) -> None:
    stub: Any = health_pb2_grpc.HealthStub(served.channel)
    response = await stub.Check(health_pb2.HealthCheckRequest(service=service))

    assert response.status == health_pb2.HealthCheckResponse.SERVING


async def test_client_that_knows_only_what_reflection_tells(served: Served) -> None:
    def call() -> tuple[list[str], Any]:
        with grpc.insecure_channel(f"127.0.0.1:{served.port}") as channel:
            database: Any = ProtoReflectionDescriptorDatabase(channel)
            listed = list(database.get_services())
            pool: Any = DescriptorPool(database)
            method = pool.FindServiceByName("tei.v1.Rerank").methods_by_name["Rerank"]
            own = pool.FindServiceByName("rerank.v1.RerankService")
            described = FileDescriptorProto()
            own.file.CopyToProto(described)
            request, response = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
            stub: Any = channel.unary_unary("/tei.v1.Rerank/Rerank", request.SerializeToString, response.FromString)
            return [*listed, described.package], stub(request(query="q", texts=["a", "bb"]))

    names, response = await asyncio.to_thread(call)

    assert {"tei.v1.Rerank", "tei.v1.Info", "rerank.v1.RerankService", "rerank.v1"} <= set(names)
    assert [rank.index for rank in response.ranks] == [1, 0]


@pytest.mark.parametrize("options", [{}, {"streams": True}])
async def test_our_own_adapter_reaches_us(served: Served, options: dict[str, Any]) -> None:
    upstream = open_upstream(TEI_GRPC, f"grpc://127.0.0.1:{served.port}", options)
    assert await upstream.refresh()
    reply = await upstream.rerank(call_of(["a", "bbb", "cc"]))

    assert list(reply.indices) == [1, 2, 0]
    assert reply.prompt_tokens == 3
    assert [info.name for info in upstream.models()] == ["scripted/model"]
    assert upstream.describe("scripted/model").capabilities.max_documents == (None if options else 5)
    await upstream.close()


async def test_our_own_adapter_reads_our_refusals(served: Served) -> None:
    upstream = open_upstream(TEI_GRPC, f"grpc://127.0.0.1:{served.port}")
    with pytest.raises(AdapterError) as caught:
        await upstream.rerank(call_of(["a"], query="busy"))
    await upstream.close()

    assert caught.value.kind is AdapterErrorKind.RATE_LIMITED
