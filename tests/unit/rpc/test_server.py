"""The gRPC server over a real socket, with a scripted provider behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf import descriptor_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from structlog.testing import capture_logs

from rerank.v1 import rerank_service_pb2 as pb
from rerank.v1 import rerank_service_pb2_grpc as pb_grpc
from rerankd.contract.errors import Reason, ServiceError
from rerankd.engine.limits import RequestLimits
from rerankd.engine.pipeline import Engine
from rerankd.engine.routing.router import Router
from rerankd.engine.routing.settings import ModelSettings, RetrySettings
from rerankd.rpc.server import GrpcServer
from rerankd.settings import Keepalive
from rerankd_adapters.base import AdapterError, AdapterErrorKind, ProviderCall, ProviderReply
from tests.support.engines import services_of
from tests.support.providers import ScriptedProvider, by_length
from tests.support.waiting import settle, until


async def explode(_: ProviderCall) -> ProviderReply:
    raise RuntimeError("a secret")


async def rate_limit(_: ProviderCall) -> ProviderReply:
    raise AdapterError(AdapterErrorKind.RATE_LIMITED, "slow down", retry_after_s=2.5)


class Served:
    """A running server and a channel to it."""

    def __init__(
        self, server: GrpcServer, provider: ScriptedProvider, channel: grpc.aio.Channel, slow_may_answer: asyncio.Event
    ) -> None:
        self.server = server
        self.provider = provider
        self.channel = channel
        self.slow_may_answer = slow_may_answer
        self.stub: Any = pb_grpc.RerankServiceStub(channel)

    async def failure(self, model: str, **fields: Any) -> grpc.aio.AioRpcError:
        request = pb.RerankRequest(model=f"scripted/{model}", query="q", documents=[pb.Document(text="a")])
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await self.stub.Rerank(request, **fields)
        return raised.value


@pytest_asyncio.fixture
async def served() -> AsyncIterator[Served]:
    slow_may_answer = asyncio.Event()

    async def slow(call: ProviderCall) -> ProviderReply:
        await slow_may_answer.wait()
        return await by_length(call)

    provider = ScriptedProvider(model=by_length, explode=explode, rate_limit=rate_limit, slow=slow)
    once = {"*": ModelSettings(retries=RetrySettings(max_attempts=1))}
    engine = Engine(Router([provider], default_model="scripted/model", models=once), RequestLimits())
    server = GrpcServer(services_of(engine), Keepalive(), 1024 * 1024)
    port = await server.start(["127.0.0.1"], 0)
    await server.serve()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Served(server, provider, channel, slow_may_answer)
    await server.stop(0)


def details(error: grpc.aio.AioRpcError) -> dict[str, Any]:
    trailing: dict[str, Any] = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(trailing["grpc-status-details-bin"])
    found: dict[str, Any] = {"trailing": trailing, "status": status}
    for detail in status.details:
        name = detail.type_url.rpartition(".")[2]
        found[name] = getattr(error_details_pb2, name).FromString(detail.value)
    return found


async def test_rerank_answers_and_returns_the_request_id(served: Served) -> None:
    request = pb.RerankRequest(query="q", documents=[pb.Document(text="a"), pb.Document(text="bb")])
    call = served.stub.Rerank(request, metadata=[("x-request-id", "mine")])
    response = await call
    assert [(r.index, r.relevance_score) for r in response.results] == [(1, 2.0), (0, 1.0)]
    assert response.id == "mine"
    assert dict(await call.trailing_metadata())["x-request-id"] == "mine"


@pytest.mark.parametrize("given", ["", "x" * 129])
async def test_an_unusable_request_id_is_replaced(served: Served, given: str) -> None:
    request = pb.RerankRequest(query="q", documents=[pb.Document(text="a")])
    response = await served.stub.Rerank(request, metadata=[("x-request-id", given)])
    assert len(response.id) == 32


async def test_violations_are_in_the_details(served: Served) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await served.stub.Rerank(pb.RerankRequest(top_n=0))
    found = details(raised.value)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert found["ErrorInfo"].reason == "INVALID_REQUEST"
    assert found["ErrorInfo"].domain == "rerankd"
    assert [v.field for v in found["BadRequest"].field_violations] == ["query", "documents", "top_n"]
    assert found["trailing"]["x-request-id"]


async def test_an_exhausted_resource_says_when_to_come_back(served: Served) -> None:
    error = await served.failure("rate_limit")
    found = details(error)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert found["RetryInfo"].retry_delay.ToMilliseconds() == 2500
    assert found["QuotaFailure"].violations[0].description == error.details()
    assert found["trailing"]["grpc-retry-pushback-ms"] == "2500"


class TooSmallLimit:
    """A service whose limit no call fits."""

    async def rerank(self, _request: Any, _call: Any) -> Any:
        raise ServiceError(Reason.RATE_LIMITED, "more than the limit allows at all", is_final=True)

    list_models = get_model = warm_documents = rerank


async def test_a_call_that_never_fits_is_not_to_be_repeated() -> None:
    server = GrpcServer(services_of(TooSmallLimit()), Keepalive(), 1024 * 1024)
    port = await server.start(["127.0.0.1"], 0)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub: Any = pb_grpc.RerankServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.Rerank(pb.RerankRequest(query="q", documents=[pb.Document(text="a")]))
    await server.stop(0)
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert details(raised.value)["trailing"]["grpc-retry-pushback-ms"] == "-1"


@pytest.mark.parametrize(("timeout_s", "pushback"), [(30.0, "2500"), (2.0, "-1")])
async def test_a_caller_whose_deadline_comes_first_is_told_not_to_retry(
    served: Served, timeout_s: float, pushback: str
) -> None:
    error = await served.failure("rate_limit", timeout=timeout_s)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert details(error)["trailing"]["grpc-retry-pushback-ms"] == pushback


async def test_an_unexpected_exception_keeps_its_text_to_itself(served: Served) -> None:
    with capture_logs() as logs:
        error = await served.failure("explode", metadata=[("x-request-id", "r7")])
    assert error.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in str(error.details())
    assert details(error)["ErrorInfo"].metadata["request_id"] == "r7"
    assert [str(entry["exc_info"]) for entry in logs if entry["event"] == "unexpected error"] == ["a secret"]


@pytest.mark.parametrize("body", [b"\x12\x02\xc3\x28", b"\xff\xff\xff"])
@pytest.mark.parametrize("method", ["Rerank", "ListModels", "GetModel"])
async def test_an_undecodable_message_is_an_invalid_argument(served: Served, method: str, body: bytes) -> None:
    call: Any = served.channel.unary_unary(f"/rerank.v1.RerankService/{method}")
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call(body)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert details(raised.value)["ErrorInfo"].reason == "INVALID_REQUEST"


async def test_an_undecodable_batch_message_ends_the_stream(served: Served) -> None:
    call: Any = served.channel.stream_stream("/rerank.v1.RerankService/BatchRerank")
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        async for _ in call(iter([b"\xff\xff\xff"])):
            pass
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_unknown_enum_number_is_an_invalid_argument(served: Served) -> None:
    request = pb.RerankRequest(query="q", documents=[pb.Document(text="a")])
    request.truncation = 99  # type: ignore[assignment]  # wrong on purpose
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await served.stub.Rerank(request)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "truncation" in str(raised.value.details())


async def test_a_message_over_the_limit_is_refused(served: Served) -> None:
    request = pb.RerankRequest(query="q", documents=[pb.Document(text="a" * 2_000_000)])
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await served.stub.Rerank(request)
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_the_client_deadline_ends_the_provider_call(served: Served) -> None:
    error = await served.failure("slow", timeout=0.1)
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await until(lambda: served.provider.cancelled)
    assert served.provider.cancelled == 1


async def test_an_unknown_method_is_unimplemented(served: Served) -> None:
    call: Any = served.channel.unary_unary("/rerank.v1.RerankService/Nothing")
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call(b"")
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("service", ["", "rerank.v1.RerankService", "grpc.health.v1.Health"])
async def test_health_of_each_service_until_the_drain(served: Served, service: str) -> None:
    health: Any = health_pb2_grpc.HealthStub(served.channel)
    request = health_pb2.HealthCheckRequest(service=service)
    assert (await health.Check(request)).status == health_pb2.HealthCheckResponse.SERVING
    await served.server.drain()
    assert (await health.Check(request)).status == health_pb2.HealthCheckResponse.NOT_SERVING


async def test_health_of_an_unknown_service_is_not_found(served: Served) -> None:
    health: Any = health_pb2_grpc.HealthStub(served.channel)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await health.Check(health_pb2.HealthCheckRequest(service="nothing"))
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_lists_and_describes_the_service(served: Served, version: str) -> None:
    call: Any = served.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    requests = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="rerank.v1.RerankService"),
    ]
    listed, described = [response async for response in call(iter(requests))]
    names = {service.name for service in listed.list_services_response.service}
    assert {"rerank.v1.RerankService", "grpc.health.v1.Health"} <= names
    files = described.file_descriptor_response.file_descriptor_proto
    file = descriptor_pb2.FileDescriptorProto.FromString(files[0])
    assert [method.name for method in file.service[0].method] == [
        "Rerank",
        "ListModels",
        "GetModel",
        "WarmDocuments",
        "BatchRerank",
    ]


async def test_stop_waits_for_calls_under_way(served: Served) -> None:
    request = pb.RerankRequest(model="scripted/slow", query="q", documents=[pb.Document(text="a")])
    call = asyncio.ensure_future(served.stub.Rerank(request))
    await until(lambda: served.provider.calls)
    stopping = asyncio.create_task(served.server.stop(5))
    await settle()
    assert not stopping.done()
    served.slow_may_answer.set()
    await stopping
    assert len((await call).results) == 1
