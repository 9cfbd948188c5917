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
    assert str(error) == "it failed (INVALID_REQUEST)"


async def test_errors_survive_pickling(client: AsyncRerankClient) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await client.rerank("fail INVALID_ARGUMENT", ["d"])

    copy = pickle.loads(pickle.dumps(caught.value))
    assert (type(copy), copy.fields, str(copy)) == (InvalidRequest, caught.value.fields, str(caught.value))


async def test_unavailable_is_retried(client: AsyncRerankClient, server: FakeServer) -> None:
    response = await client.rerank("flaky 2", ["d"])

    assert response.results[0].index == 0
    assert len(server.journal.requests) == 3


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
    assert time.monotonic() - started_s < 5


async def test_no_server() -> None:
    async with AsyncRerankClient("127.0.0.1:1") as client:
        with pytest.raises(Unavailable) as caught:
            await client.rerank("dune", ["d"])
    assert (caught.value.reason, caught.value.request_id) == ("UNAVAILABLE", None)


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
