"""The pages, as the gateway serves them."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncIterator

import httpx
import pytest

from rerankd.contract.service import Services
from rerankd.gateway.app import Gateway
from rerankd.web.app import create_web_app
from tests.unit.gateway.conftest import FakeService


@pytest.fixture
def health() -> dict[str, str]:
    return {"status": "serving"}


@pytest.fixture
async def client(health: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    web = create_web_app(
        health=lambda: health["status"],
        version="1.2.3",
        metrics=lambda accept: (accept.encode(), "application/openmetrics-text; version=1.0.0; charset=utf-8"),
    )
    transport = httpx.ASGITransport(Gateway(Services(FakeService(), FakeService()), web, version="1.2.3"))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        yield client


@pytest.mark.parametrize(("status", "code"), [("serving", 200), ("draining", 503), ("starting", 503)])
@pytest.mark.parametrize(
    "path",
    ["/health", "/healthz", "/ready", "/health/", "/ping", "/v1/health/live", "/.well-known/ready", "/tei/health"],
)
async def test_health(client: httpx.AsyncClient, health: dict[str, str], path: str, status: str, code: int) -> None:
    health["status"] = status
    answer = await client.get(path)

    assert (answer.status_code, answer.json()) == (code, {"status": status})
    assert answer.headers["content-type"] == "application/json"


async def test_index_links_to_pages_that_exist(client: httpx.AsyncClient) -> None:
    index = (await client.get("/")).json()

    assert (index["name"], index["version"]) == ("rerankd", "1.2.3")
    assert index["links"]["rerank"] == "/v1/rerank"
    for path in index["links"].values():
        assert (await client.options(path.replace("{model}", "m"))).status_code == 204


async def test_openapi_is_served_as_generated(client: httpx.AsyncClient) -> None:
    answer = await client.get("/openapi.json")

    assert answer.json()["openapi"] == "3.1.0"
    assert answer.headers["content-type"] == "application/json"


async def test_docs_may_run_their_own_script_alone(client: httpx.AsyncClient) -> None:
    answer = await client.get("/docs")

    policy = answer.headers["content-security-policy"]
    scripts = re.findall(r"<script>(.*?)</script>", answer.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert len(scripts) == 1
    assert f"script-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


async def test_docs_show_code_of_descriptions_as_code(client: httpx.AsyncClient) -> None:
    page = (await client.get("/docs")).text
    texts = re.findall(r"[\w.]+\.(?:description|summary)\b", page)
    shown = re.findall(r"prose\(([\w.]+)\)", page)
    assert set(texts) - set(shown) == {"found.description", "one.description", "p.description"}, "cells of `table`"
    assert "...prose(text)" in page


async def test_metrics_are_rendered_as_accepted(client: httpx.AsyncClient) -> None:
    answer = await client.get("/metrics", headers={"accept": "application/openmetrics-text"})

    assert answer.text == "application/openmetrics-text"
    assert answer.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
