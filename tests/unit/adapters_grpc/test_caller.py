"""What holds for every provider over gRPC: deadlines, cancellation, credentials, errors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import trustme
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from rerankd_adapters.base import AdapterError, AdapterErrorKind
from rerankd_adapters.grpc_upstream.channel import ChannelSettings
from rerankd_adapters.grpc_upstream.messages import find_method
from rerankd_adapters.grpc_upstream.upstream import GrpcUpstream
from rerankd_adapters.providers.tei_grpc import TEI_GRPC
from tests.unit.adapters_grpc.fake_upstream import FakeUpstream, call_of, failure, open_upstream

RERANK = find_method("tei.v1.Rerank", "Rerank")
GOOD = RERANK.response(ranks=[{"index": 0, "score": 0.5}])


@pytest.fixture
async def tei(server: FakeUpstream) -> AsyncIterator[GrpcUpstream]:
    server.answer(RERANK, GOOD)
    upstream = open_upstream(TEI_GRPC, server.base_url)
    yield upstream
    await upstream.close()


async def hang(requests: list[Any], context: Any) -> Any:
    await asyncio.sleep(30)


async def test_errors_quote_neither_documents_nor_keys(server: FakeUpstream) -> None:
    server.abort(RERANK, grpc.StatusCode.INVALID_ARGUMENT, "key hunter2hunter2 bad: a document of some length")
    upstream = open_upstream(TEI_GRPC, server.base_url, api_key="hunter2hunter2")
    error = await failure(upstream)
    assert server.metadata["authorization"] == "Bearer hunter2hunter2"
    assert "hunter2" not in error.message + str(error)
    assert "some length" not in error.message
    await upstream.close()


@pytest.mark.parametrize(
    ("trailing", "seconds"),
    [
        ((("retry-after", "7"),), 7.0),
        ((("retry-after-ms", "1500"),), 1.5),
        ((("grpc-status-details-bin", b"\xff\xff"),), None),
    ],
)
async def test_retry_after(tei: GrpcUpstream, server: FakeUpstream, trailing: Any, seconds: float | None) -> None:
    server.abort(RERANK, grpc.StatusCode.RESOURCE_EXHAUSTED, "slow down", trailing)
    assert (await failure(tei)).retry_after_s == seconds


async def test_retry_info(tei: GrpcUpstream, server: FakeUpstream) -> None:
    packed = AnyMessage()
    packed.Pack(RetryInfo(retry_delay=Duration(seconds=3, nanos=500_000_000)))
    details = Status(code=8, message="slow down", details=[packed]).SerializeToString()
    server.abort(RERANK, grpc.StatusCode.RESOURCE_EXHAUSTED, "slow down", (("grpc-status-details-bin", details),))
    assert (await failure(tei)).retry_after_s == 3.5


@pytest.mark.parametrize("body", [b"\xff\xff\xff", b"\x0a\x7fshort", b"<html>not here</html>"])
async def test_bytes_that_are_no_reply(tei: GrpcUpstream, server: FakeUpstream, body: bytes) -> None:
    server.answer(RERANK, body)
    error = await failure(tei)
    assert error.kind is AdapterErrorKind.BAD_RESPONSE
    assert "no tei.v1.RerankResponse" in error.message


async def test_empty_reply_is_left_to_the_engine(tei: GrpcUpstream, server: FakeUpstream) -> None:
    server.answer(RERANK, b"")
    reply = await tei.rerank(call_of(["a"]))
    assert list(reply.indices) == []


async def test_deadline_travels_and_ends_the_call(tei: GrpcUpstream, server: FakeUpstream) -> None:
    server.on(RERANK, hang)
    error = await failure(tei, deadline_s=time.monotonic() + 0.5)
    assert error.kind is AdapterErrorKind.TIMEOUT
    assert server.time_remaining_s is not None
    assert server.time_remaining_s < 0.6
    await asyncio.wait_for(server.was_cancelled.wait(), 5)


async def test_deadline_that_has_passed(tei: GrpcUpstream, server: FakeUpstream) -> None:
    error = await failure(tei, deadline_s=time.monotonic() - 1)
    assert error.kind is AdapterErrorKind.TIMEOUT
    assert not server.started.is_set()


async def test_own_timeout_is_the_servers_fault(server: FakeUpstream) -> None:
    server.on(RERANK, hang)
    upstream = open_upstream(TEI_GRPC, server.base_url, timeout_s=0.2)
    assert (await failure(upstream, deadline_s=time.monotonic() + 30)).kind is AdapterErrorKind.UNAVAILABLE
    await upstream.close()


async def test_cancellation_reaches_the_server(tei: GrpcUpstream, server: FakeUpstream) -> None:
    server.on(RERANK, hang)
    task = asyncio.create_task(tei.rerank(call_of(["a"])))
    await asyncio.wait_for(server.started.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(server.was_cancelled.wait(), 5)


async def test_closing_fails_the_calls_under_way(tei: GrpcUpstream, server: FakeUpstream) -> None:
    server.on(RERANK, hang)
    task = asyncio.create_task(tei.rerank(call_of(["a"])))
    await asyncio.wait_for(server.started.wait(), 5)
    await tei.close()
    with pytest.raises(AdapterError, match="closed") as caught:
        await task
    assert caught.value.kind is AdapterErrorKind.UNAVAILABLE
    assert (await failure(tei)).kind is AdapterErrorKind.UNAVAILABLE


async def test_nobody_listens(server: FakeUpstream) -> None:
    await server.stop()
    upstream = open_upstream(TEI_GRPC, server.base_url)
    assert (await failure(upstream, deadline_s=time.monotonic() + 10)).kind is AdapterErrorKind.UNAVAILABLE
    await upstream.close()


async def test_trace_context_is_passed_on(server: FakeUpstream) -> None:
    server.answer(RERANK, GOOD)
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    upstream = open_upstream(TEI_GRPC, server.base_url, trace_headers=lambda: {"traceparent": parent})
    await upstream.rerank(call_of(["a"]))
    assert server.metadata["traceparent"] == parent
    await upstream.close()


@pytest.mark.parametrize("has_client_certificate", [False, True])
async def test_tls(has_client_certificate: bool) -> None:
    server = FakeUpstream()
    server.answer(RERANK, GOOD)
    authority = trustme.CA()
    port = server.add_tls_port(authority, asks_for_client=has_client_certificate)
    client = authority.issue_cert("client@example.org")
    settings = ChannelSettings(
        root_certificates=authority.cert_pem.bytes(),
        certificate_chain=client.cert_chain_pems[0].bytes() if has_client_certificate else None,
        private_key=client.private_key_pem.bytes() if has_client_certificate else None,
        uses_environment_proxy=False,
    )
    await server.start()
    upstream = open_upstream(TEI_GRPC, f"grpcs://127.0.0.1:{port}", settings=lambda: settings)
    assert list((await upstream.rerank(call_of(["a"]))).scores) == [0.5]
    await upstream.close()
    stranger = open_upstream(TEI_GRPC, f"grpcs://127.0.0.1:{port}")
    assert (await failure(stranger)).kind is AdapterErrorKind.UNAVAILABLE
    await stranger.close()
    await server.stop()


async def test_server_that_comes_back(tei: GrpcUpstream, server: FakeUpstream) -> None:
    await tei.rerank(call_of(["a"]))
    await server.stop()
    assert (await failure(tei)).kind is AdapterErrorKind.UNAVAILABLE
    second = FakeUpstream()
    second.answer(RERANK, GOOD)
    await second.start(server.port)
    async with asyncio.timeout(10):
        while not await _answers(tei):
            await asyncio.sleep(0.05)
    await second.stop()


async def _answers(upstream: GrpcUpstream) -> bool:
    try:
        await upstream.rerank(call_of(["a"]))
    except AdapterError:
        return False
    return True
