"""Bodies that are too many, too slow or too rich, in the form of the dialect that they were sent in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.service import Services
from rerankd.contract.wording import verb_of
from rerankd.engine.byte_budget import FREE_BYTES, ByteBudget
from rerankd.gateway.app import Gateway
from rerankd.gateway.body import GatewayLimits
from rerankd.gateway.dialects.registry import DIALECTS, UNDECIDED_LISTS
from rerankd.gateway.translation.dialect import Dialect
from tests.unit.gateway.conftest import FakeService, web

BIG = 600_000


@pytest.fixture
def budget() -> ByteBudget:
    return ByteBudget(2 * BIG)


@pytest.fixture
def app(service: FakeService, health: dict[str, Any], budget: ByteBudget) -> Gateway:
    limits = GatewayLimits(
        max_body_bytes=4 * BIG, max_line_bytes=4 * BIG, max_values=60_000, body_timeout_s=0.5, min_body_bytes_per_s=BIG
    )
    return Gateway(
        Services(service, service), web(health), version="1", limits=limits, budget=budget, max_documents=lambda: 50
    )


def body(documents: list[Any], **more: Any) -> bytes:
    return json.dumps({"query": "q", "documents": documents, **more}).encode()


def too_many(name: str) -> bytes:
    return json.dumps({"query": {"text": "q"}, "rank_fields": ["a"], name: ["x" * (BIG // 50)] * 51}).encode()


async def test_large_body_is_answered(client: httpx.AsyncClient, budget: ByteBudget) -> None:
    answer = await client.post("/v1/rerank", content=body(["x" * (BIG // 50)] * 50))
    assert answer.status_code == 200
    assert budget.in_use == 0


@pytest.mark.parametrize("path", ["/v1/rerank", "/rerankd/v1/rerank", "/voyage/v1/rerank", "/cohere/v2/rerank"])
async def test_documents_are_counted_before_they_are_made(
    client: httpx.AsyncClient, service: FakeService, path: str
) -> None:
    answer = await client.post(path, content=body(["x" * (BIG // 50)] * 51))
    assert answer.status_code == 400
    assert "more than the 50 items" in (answer.json().get("message") or answer.json()["detail"])
    assert service.requests == []


@pytest.mark.parametrize(
    ("dialect", "name"), [(dialect, name) for dialect in DIALECTS.values() for name in dialect.long_lists]
)
async def test_a_long_list_has_its_own_name(client: httpx.AsyncClient, dialect: Dialect, name: str) -> None:
    answer = await client.post(f"/{dialect.name}/rerank", content=too_many(name))
    assert answer.status_code in (400, 422)
    assert f"{name} {verb_of(name, 'has')} more than the 50 items" in answer.text


@pytest.mark.parametrize("name", UNDECIDED_LISTS)
async def test_a_long_list_has_its_own_name_before_the_dialect_is_known(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.post("/v1/rerank", content=too_many(name))
    assert (answer.status_code, answer.json()["fields"][0]["field"]) == (400, name)
    assert f"{name} {verb_of(name, 'has')} more than the 50 items" in answer.json()["message"]


@pytest.mark.parametrize(
    ("path", "name", "field"),
    [
        ("/v1/documents:warm", "documents", "documents"),
        ("/v1/keys:import", "keys", "keys"),
        ("/api/reranker", "config", "the body"),
        ("/api/client/v1/rerank/k", "documents", "documents"),
    ],
)
async def test_other_long_lists_have_their_names_too(
    client: httpx.AsyncClient, path: str, name: str, field: str
) -> None:
    answer = await client.post(path, content=too_many(name))
    assert f"{field} {verb_of(field, 'has')} more than the 50 items" in answer.json()["message"]


async def test_items_of_a_stream_are_counted_too(client: httpx.AsyncClient) -> None:
    line = json.dumps({"item": {"request": {"query": "q", "documents": ["x" * (BIG // 50)] * 51}}})
    answer = await client.post("/v1/rerank:batch", content=line.encode())
    assert (answer.status_code, answer.json()["reason"]) == (400, "TOO_MANY_DOCUMENTS")


async def test_keys_are_counted(client: httpx.AsyncClient) -> None:
    small = {f"key{number}": 1 for number in range(101)}
    large = {**small, "padding": "x" * BIG}
    for more in (small, large):
        answer = await client.post("/v1/rerank", content=body(["d"], **more))
        assert (answer.status_code, answer.json()["message"]) == (
            400,
            "the body has more than 100 keys; send the fields of a rerank request",
        )


async def test_values_are_counted(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/rerank", content=body([{"fields": {"a": [[]] * 200_000}}]))
    assert answer.status_code == 413
    assert "60000 values" in answer.json()["message"]


async def test_bodies_beyond_the_budget_are_refused(client: httpx.AsyncClient, budget: ByteBudget) -> None:
    with budget.hold() as held:
        held.grow(2 * BIG)
        refused = await client.post("/v1/rerank", content=body(["x" * BIG]))
        small = await client.post("/v1/rerank", content=body(["x" * 1000]))
    later = await client.post("/v1/rerank", content=body(["x" * BIG]))

    assert (refused.status_code, refused.json()["reason"]) == (429, "OVERLOADED")
    assert refused.headers["retry-after"] == "1"
    assert (small.status_code, later.status_code) == (200, 200)


async def test_body_that_does_not_come(client: httpx.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(5)

    answer = await client.post("/v1/rerank", content=pieces())
    assert (answer.status_code, answer.headers["connection"]) == (408, "close")


async def test_body_that_comes_steadily_may_take_longer(client: httpx.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 50_000):
            yield content[start : start + 50_000]
            await asyncio.sleep(0.06)

    content = body(["x" * BIG])
    answer = await client.post("/v1/rerank", content=pieces())
    assert answer.status_code == 200


def test_budget_counts_what_is_beyond_the_free_bytes() -> None:
    budget = ByteBudget(1000)
    with budget.hold() as first, budget.hold() as second:
        first.grow(FREE_BYTES)
        assert budget.in_use == 0
        first.grow(FREE_BYTES + 900)
        second.grow(FREE_BYTES + 100)
        assert budget.in_use == 1000
        with pytest.raises(ServiceError) as caught:
            second.grow(FREE_BYTES + 101)
        first.clear()
        second.grow(FREE_BYTES + 101)
        assert budget.in_use == 101
    assert (budget.in_use, caught.value.reason) == (0, Reason.OVERLOADED)
