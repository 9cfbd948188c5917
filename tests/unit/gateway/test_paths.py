"""Paths and methods."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from rerankd.gateway.route_table import Route, RouteTable, normalise_path


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
    table = RouteTable([route("GET", "/v1/a/{key}"), route("POST", "/v1/a/{key}:run"), route("GET", "/v1/b/{name=**}")])

    assert table.matches("/v1/a/x")["GET"].variables == {"key": "x"}
    run = table.matches("/v1/a/x:run")
    assert {method: match.variables for method, match in run.items()} == {"POST": {"key": "x"}}
    assert table.matches("/v1/b/x/y\n")["GET"].variables == {"name": "x/y\n"}
    assert table.matches("/v1/a/x/y") == {}


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


async def test_path_of_a_page_and_a_route_takes_the_methods_of_both(client: httpx.AsyncClient) -> None:
    assert (await client.options("/")).headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert (await client.delete("/")).headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert (await client.post("/", json={"query": "q", "texts": ["a"]})).status_code == 200
    assert (await client.get("/")).json()["name"] == "rerankd"


async def test_pages_are_suggested(client: httpx.AsyncClient) -> None:
    answer = await client.get("/helth")

    assert answer.status_code == 404
    assert "did you mean GET /health" in answer.json()["message"]


async def test_errors_of_a_page_below_a_mount_are_the_dialects(client: httpx.AsyncClient) -> None:
    answer = await client.delete("/tei/health")

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert "error_type" in answer.json()


async def test_lifespan_is_acknowledged(app: Any) -> None:
    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    sent: list[str] = []

    async def receive() -> dict[str, str]:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await app({"type": "lifespan"}, receive, send)

    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
