"""Requests that are refused: statuses, bodies, fields, headers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from rerankd.contract.errors import Reason, ServiceError

GOOD = b'{"query":"q","documents":["a"]}'
JSON = {"content-type": "application/json"}


async def test_body_has_every_key_that_clients_read(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/rerank", content=b'{"top_n":"3"}', headers={"x-request-id": "r1"})

    message = "top_n must be an integer or null, was a string"
    assert answer.status_code == 400
    assert answer.headers["x-should-retry"] == "false"
    assert answer.json() == {
        "id": "r1",
        "message": message,
        "detail": message,
        "status": 400,
        "reason": "INVALID_REQUEST",
        "error": {
            "message": message,
            "type": "invalid_argument",
            "code": "INVALID_REQUEST",
            "param": "top_n",
        },
        "fields": [{"field": "top_n", "description": message}],
    }


@pytest.mark.parametrize(
    ("body", "field", "text"),
    [
        (b'{"documents":["a",{"text":3}]}', "documents[1].text", "must be a string, was an integer"),
        (b'{"documents":[null]}', "documents[0]", "must be a string or an object, was null"),
        (b'{"qeury":"q"}', "qeury", "did you mean query?"),
        (b'{"documents":[{"txt":"a"}]}', "documents[0].txt", "did you mean text?"),
        (b'{"zzz":1}', "zzz", "known are model, query, documents"),
        (b'{"top_n":5000000000}', "top_n", "<= 2147483647"),
        (b'{"truncation":"middle"}', "truncation", 'must be one of "none", "end", "start", was \'middle\''),
    ],
)
async def test_field_at_fault_is_named(client: httpx.AsyncClient, body: bytes, field: str, text: str) -> None:
    answer = await client.post("/rerankd/v1/rerank", content=body)

    assert answer.status_code == 400
    assert answer.json()["fields"][0]["field"] == field
    assert text in answer.json()["message"]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "it is empty"),
        (b"{", "truncated"),
        (b'{"query":"\xff"}', "not UTF-8"),
        (b"[]", "the body must be an object, was an array"),
        (GOOD + b"x", "trailing characters"),
        (b'{"provider_options":{"a":' + b"[" * 1900, "cannot be read as JSON"),
    ],
)
async def test_unreadable_body(client: httpx.AsyncClient, body: bytes, text: str) -> None:
    answer = await client.post("/v1/rerank", content=body)

    assert (answer.status_code, answer.json()["reason"]) == (400, "INVALID_REQUEST")
    assert text in answer.json()["message"]
    assert "fields" not in answer.json()


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/json; charset=latin-1"},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
)
async def test_media_type_refused(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    answer = await client.post("/v1/rerank", content=GOOD, headers=headers)

    assert (answer.status_code, answer.json()["reason"]) == (415, "INVALID_REQUEST")


async def test_declared_length_is_refused_before_the_body_is_read(app: Any) -> None:
    async def receive() -> dict[str, Any]:
        raise AssertionError("the body was read")

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-length", b"2001")]
    scope = {"type": "http", "method": "POST", "path": "/rerank", "headers": headers, "query_string": b""}
    await app(scope, receive, send)

    assert sent[0]["status"] == 413


async def test_undeclared_length_is_counted(client: httpx.AsyncClient) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b"x" * 100

    answer = await client.post("/rerank", content=body())

    assert answer.status_code == 413


@pytest.mark.parametrize("timeout_ms", ["soon", "nan", "inf", ""])
async def test_bad_timeout_names_the_header(client: httpx.AsyncClient, timeout_ms: str) -> None:
    answer = await client.get("/v1/models", headers={"x-request-timeout-ms": timeout_ms})

    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "x-request-timeout-ms"


@pytest.mark.parametrize("timeout_ms", ["0", "-5"])
async def test_expired_deadline_is_not_worked_on(client: httpx.AsyncClient, service: Any, timeout_ms: str) -> None:
    answer = await client.post("/rerank", content=GOOD, headers={"x-request-timeout-ms": timeout_ms})

    assert (answer.status_code, answer.json()["reason"]) == (504, "DEADLINE_EXCEEDED")
    assert not service.requests


async def test_deadline_ends_the_work(client: httpx.AsyncClient, service: Any) -> None:
    ended = asyncio.Event()

    async def never(*_: Any) -> Any:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    service.answer = never
    answer = await client.post("/rerank", content=GOOD, headers={"x-request-timeout-ms": "20"})

    assert answer.status_code == 504
    assert ended.is_set()


@pytest.mark.parametrize(
    ("query", "field", "text"),
    [
        ("page_size=many", "page_size", "must be an integer"),
        ("page_sise=5", "page_sise", "did you mean page_size?"),
        ("page_size=5&page_size=6", "page_size", "once"),
    ],
)
async def test_query_parameter_refused(client: httpx.AsyncClient, query: str, field: str, text: str) -> None:
    answer = await client.get(f"/v1/models?{query}")

    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == field
    assert text in answer.json()["message"]


async def test_a_call_that_never_fits_is_not_to_be_repeated(client: httpx.AsyncClient, service: Any) -> None:
    async def too_large(*_: Any) -> Any:
        raise ServiceError(Reason.RATE_LIMITED, "more than the limit allows at all", is_final=True)

    service.answer = too_large
    answer = await client.post("/rerank", content=GOOD)

    assert (answer.status_code, answer.headers["x-should-retry"]) == (429, "false")
    assert "retry-after" not in answer.headers


async def test_retry_hint_is_rounded_up(client: httpx.AsyncClient, service: Any) -> None:
    async def overloaded(*_: Any) -> Any:
        raise ServiceError(Reason.OVERLOADED, "full", retry_after_s=0.25)

    service.answer = overloaded
    answer = await client.post("/rerank", content=GOOD)

    assert answer.status_code == 429
    assert (answer.headers["retry-after"], answer.headers["retry-after-ms"]) == ("1", "250")
    assert "x-should-retry" not in answer.headers


async def test_unexpected_exception_keeps_its_text(client: httpx.AsyncClient, service: Any) -> None:
    async def broken(*_: Any) -> Any:
        raise RuntimeError("secret")

    service.answer = broken
    answer = await client.post("/rerank", content=GOOD, headers={"x-request-id": "r9"})

    assert (answer.status_code, answer.json()["reason"], answer.json()["id"]) == (500, "INTERNAL", "r9")
    assert "secret" not in answer.text
