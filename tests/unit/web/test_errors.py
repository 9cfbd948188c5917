"""What callers see when an endpoint of the web application raises, or answers piece by piece."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.service import Services
from rerankd.gateway.app import Gateway
from rerankd.web.app import WebApp
from tests.unit.gateway.conftest import FakeService


@contextlib.asynccontextmanager
async def client_of(*routes: Route) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(Gateway(Services(FakeService(), FakeService()), WebApp(routes), version="1.2.3"))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        yield client


@pytest.mark.parametrize(
    ("error", "status", "reason", "message"),
    [
        (ServiceError(Reason.OVERLOADED, "full"), 429, "OVERLOADED", "full"),
        (HTTPException(404, "no key k"), 404, "ROUTE_NOT_FOUND", "no key k"),
        (HTTPException(422, "no name"), 422, "INVALID_REQUEST", "no name"),
        (HTTPException(502, "secret"), 500, "INTERNAL", "under request id r1"),
        (RuntimeError("secret"), 500, "INTERNAL", "under request id r1"),
    ],
)
async def test_errors_look_like_those_of_rerank_calls(error: Exception, status: int, reason: str, message: str) -> None:
    async def fail(_request: Request) -> Response:
        raise error

    async with client_of(Route("/keys/{key}", fail)) as client:
        answer = await client.get("/keys/k", headers={"x-request-id": "r1"})

    body = answer.json()
    assert (answer.status_code, body["status"], body["reason"], body["id"]) == (status, status, reason, "r1")
    assert body["error"]["code"] == reason
    assert message in body["message"]
    assert "secret" not in answer.text
    assert (answer.headers["x-error-reason"], answer.headers["x-request-id"]) == (reason, "r1")
    assert ("retry-after" in answer.headers) == (status == 429)


async def test_headers_of_an_http_exception_are_kept() -> None:
    async def fail(_request: Request) -> Response:
        raise HTTPException(405, "not now", headers={"Allow": "PUT"})

    async with client_of(Route("/keys", fail)) as client:
        answer = await client.get("/keys")

    assert (answer.status_code, answer.headers["allow"]) == (405, "PUT")
    assert answer.json()["message"] == "not now"


async def test_routes_of_one_path_with_other_methods() -> None:
    async def show(request: Request) -> Response:
        return Response(f"{request.method} {request.path_params['key']}")

    routes = [Route("/keys/{key}", show, methods=[method]) for method in ("GET", "DELETE")]
    async with client_of(*routes) as client:
        assert (await client.delete("/keys/k")).text == "DELETE k"
        assert (await client.get("/keys//k/")).text == "GET k"
        refused = await client.post("/keys/k")

    assert (refused.status_code, refused.headers["allow"]) == (405, "DELETE, GET, HEAD, OPTIONS")


async def test_streamed_answer() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"

    async def show(_request: Request) -> Response:
        return StreamingResponse(pieces())

    async with client_of(Route("/keys", show)) as client:
        get, head = await client.get("/keys"), await client.head("/keys")

    assert (get.content, head.status_code, head.content) == (b"ab", 200, b"")
