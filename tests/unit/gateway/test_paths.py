"""Paths, methods and the pages that are not rpcs."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from rerankd.contract.service import Services
from rerankd.gateway.app import create_gateway
from rerankd.gateway.routing import Route, Router, normalise_path


def route(http_method: str, template: str) -> Route:
    return Route(http_method, template, "X", "x_service", "x", object, object, False, None, False)


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        ("/", "/"),
        ("//v1//rerank/", "/v1/rerank"),
        ("/v1/v1/rerank", "/v1/rerank"),
        ("/v1/v2/rerank", "/v2/rerank"),
        ("/v1/v1/v2/rerank", "/v2/rerank"),
        ("/v1", "/v1"),
        ("/v1/models/v1/v1", "/v1/models/v1/v1"),
    ],
)
def test_normalise_path(path: str, normal: str) -> None:
    assert normalise_path(path) == normal


def test_variables() -> None:
    router = Router([route("GET", "/v1/a/{key}"), route("POST", "/v1/a/{key}:run"), route("GET", "/v1/b/{name=**}")])

    assert router.matches("/v1/a/x")["GET"].variables == {"key": "x"}
    assert router.matches("/v1/a/x:run")["POST"].variables == {"key": "x"}
    assert router.matches("/v1/b/x/y\n")["GET"].variables == {"name": "x/y\n"}
    assert router.matches("/v1/a/x/y") == {}


async def test_unknown_path_names_near_routes(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/rerrank", json={})

    assert (answer.status_code, answer.json()["reason"]) == (404, "ROUTE_NOT_FOUND")
    assert "POST /v1/rerank" in answer.json()["message"]


async def test_wrong_method_lists_the_right_ones(client: httpx.AsyncClient) -> None:
    post = await client.get("/v1/rerank")
    get = await client.delete("/v1/models/local/default")

    assert (post.status_code, post.headers["allow"]) == (405, "OPTIONS, POST")
    assert (get.status_code, get.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


@pytest.mark.parametrize("path", ["/v1/models", "/health", "/openapi.json"])
async def test_head_and_options(client: httpx.AsyncClient, path: str) -> None:
    get, head, options = await client.get(path), await client.head(path), await client.options(path)

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(get.content))
    assert (options.status_code, options.content) == (204, b"")
    assert options.headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize(("status", "code"), [("serving", 200), ("draining", 503), ("starting", 503)])
@pytest.mark.parametrize("path", ["/health", "/healthz", "/ready", "/health/"])
async def test_health(client: httpx.AsyncClient, health: dict[str, str], path: str, status: str, code: int) -> None:
    health["status"] = status
    answer = await client.get(path)

    assert (answer.status_code, answer.json()) == (code, {"status": status})


async def test_index_links_to_pages_that_exist(client: httpx.AsyncClient) -> None:
    index = (await client.get("/")).json()

    assert (index["name"], index["version"]) == ("rerankd", "1.2.3")
    assert index["links"]["rerank"] == "/v1/rerank"
    for path in index["links"].values():
        assert (await client.options(path.replace("{model}", "m"))).status_code == 204


async def test_openapi_is_served_as_generated(client: httpx.AsyncClient) -> None:
    answer = await client.get("/openapi.json")

    assert json.loads(answer.content)["openapi"] == "3.1.0"


async def test_lifespan_is_acknowledged(app: Any) -> None:
    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    sent: list[str] = []

    async def receive() -> dict[str, str]:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await app({"type": "lifespan"}, receive, send)

    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_created_gateway_shows_a_version(service: Any) -> None:
    gateway = create_gateway(Services(service, service), health=lambda: "serving", max_body_bytes=1000)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(gateway), base_url="http://gateway") as client:
        assert (await client.get("/")).json()["version"]
        assert (await client.post("/rerank", content=b" " * 1001)).status_code == 413
