"""Failures: which exception, what it carries, and what is retried."""

from __future__ import annotations

import asyncio
import pickle
import time
from typing import TYPE_CHECKING

import grpc
import pytest
from google.rpc import status_pb2

from rerankd_client import (
    AsyncRerankClient,
    DeadlineExceeded,
    FieldViolation,
    InvalidRequest,
    QuotaViolation,
    RerankClient,
    RerankError,
    Unavailable,
)
from rerankd_client.errors import ERROR_OF_CODE, error_of_status

if TYPE_CHECKING:
    from tests.unit.client.fake_server import FakeServer

FAILURES = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]


@pytest.mark.parametrize("code", FAILURES)
async def test_each_code_has_its_exception(server: FakeServer, code: grpc.StatusCode) -> None:
    async with AsyncRerankClient(server.address, max_attempts=1) as client:
        with pytest.raises(RerankError) as caught:
            await client.rerank(f"fail-bare {code.name}", ["d"])

    assert type(caught.value) is ERROR_OF_CODE.get(code, RerankError)
    assert (caught.value.code, caught.value.reason, caught.value.message) == (code, code.name, "it failed")


async def test_details_are_decoded(client: AsyncRerankClient) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await client.rerank("fail INVALID_ARGUMENT", ["d"])

    error = caught.value
    assert (error.reason, error.metadata, error.request_id) == (
        "INVALID_REQUEST",
        {"fields": "top_n"},
        "req-7",
    )
    assert error.fields == (FieldViolation("top_n", "must be at least 1, was 0"),)
    assert error.retry_after_s == 1.5
    assert error.quota == (QuotaViolation("calls", "600 of 600 are used"),)
    assert str(error) == "it failed (INVALID_REQUEST)"


async def test_errors_survive_pickling(client: AsyncRerankClient) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await client.rerank("fail INVALID_ARGUMENT", ["d"])

    copy = pickle.loads(pickle.dumps(caught.value))
    assert (type(copy), copy.fields, copy.quota) == (InvalidRequest, caught.value.fields, caught.value.quota)
    assert str(copy) == str(caught.value)


async def test_unavailable_is_retried(client: AsyncRerankClient, server: FakeServer) -> None:
    response = await client.rerank("flaky 2", ["d"])

    assert response.results[0].index == 0
    assert len(server.journal.requests) == 3


async def test_a_large_request_is_retried(client: AsyncRerankClient, server: FakeServer) -> None:
    await client.rerank("flaky 1", ["word " * 800_000])
    assert len(server.journal.requests) == 2


async def test_retries_end(client: AsyncRerankClient, server: FakeServer) -> None:
    with pytest.raises(Unavailable, match="not yet"):
        await client.rerank("flaky 9", ["d"])
    assert len(server.journal.requests) == 4


async def test_nothing_else_is_retried(client: AsyncRerankClient, server: FakeServer) -> None:
    with pytest.raises(RerankError):
        await client.rerank("fail RESOURCE_EXHAUSTED", ["d"])
    assert len(server.journal.requests) == 1


async def test_retries_can_be_switched_off(server: FakeServer) -> None:
    def call() -> None:
        with RerankClient(server.address, max_attempts=1) as client, pytest.raises(Unavailable):
            client.rerank("flaky 1", ["d"])

    await asyncio.to_thread(call)
    assert len(server.journal.requests) == 1


async def test_the_deadline_of_the_call_wins_over_the_clients(server: FakeServer) -> None:
    started_s = time.monotonic()
    async with AsyncRerankClient(server.address, timeout_s=30) as client:
        with pytest.raises(DeadlineExceeded):
            await client.rerank("slow", ["d"], timeout_s=0.1)
    async with AsyncRerankClient(server.address, timeout_s=0.1) as client:
        with pytest.raises(DeadlineExceeded):
            await client.rerank("slow", ["d"])
    assert time.monotonic() - started_s < 20


async def test_no_server() -> None:
    async with AsyncRerankClient("127.0.0.1:1") as client:
        with pytest.raises(Unavailable) as caught:
            await client.rerank("dune", ["d"])
    assert (caught.value.reason, caught.value.request_id) == ("UNAVAILABLE", None)


async def test_the_http_port_is_said_to_be_one() -> None:
    async def answer_in_http1(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer_in_http1, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        async with AsyncRerankClient(f"127.0.0.1:{port}", max_attempts=1) as client:
            with pytest.raises(Unavailable) as caught:
                await client.rerank("dune", ["d"])
    assert caught.value.message == (
        "this looks like an HTTP port: it does not speak HTTP/2 as gRPC does; the gRPC port is usually 50051"
    )


def test_damaged_details_leave_code_and_message() -> None:
    status = status_pb2.Status(code=3, message="no")
    detail = status.details.add()
    detail.type_url, detail.value = "type.googleapis.com/google.rpc.ErrorInfo", b"\xff"

    error = error_of_status(status)

    assert (type(error), error.reason, str(error)) == (
        InvalidRequest,
        "INVALID_ARGUMENT",
        "no (INVALID_ARGUMENT)",
    )


def test_a_code_of_the_future_is_unknown() -> None:
    assert error_of_status(status_pb2.Status(code=99)).code is grpc.StatusCode.UNKNOWN
