"""Decoding, dispatch and encoding of calls that succeed."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from rerankd.contract import messages


async def test_rerank_prints_zeroes_and_leaves_out_what_is_unset(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/rerank", json={"query": "q", "documents": ["a", {"text": "b", "id": "7"}]})

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body["results"] == [{"index": 0, "relevance_score": 0.0}, {"index": 1, "relevance_score": 0.0}]
    assert body["id"] == answer.headers["x-request-id"]
    assert "extra_fields" not in body


async def test_plain_documents_stay_strings(client: httpx.AsyncClient, service: Any) -> None:
    await client.post("/rerank", json={"query": "q", "documents": ["a", {"text": "b", "prior_score": 2}]})

    request = service.requests[0]
    assert request.documents == ["a", messages.Document(text="b", prior_score=2.0)]
    assert request.top_n is None


async def test_null_reads_as_unset(client: httpx.AsyncClient, service: Any) -> None:
    answer = await client.post("/rerank", json={"query": "q", "documents": ["a"], "top_n": None})

    assert answer.status_code == 200
    assert service.requests[0].top_n is None


@pytest.mark.parametrize("value", ["no-store", "CACHE_CONTROL_NO_STORE"])
async def test_enums_read_by_short_and_full_name(client: httpx.AsyncClient, service: Any, value: str) -> None:
    await client.post("/rerank", json={"query": "q", "documents": ["a"], "cache": value})

    assert service.requests[0].cache is messages.CacheControl.NO_STORE


@pytest.mark.parametrize(
    ("path", "version"), [("/v1/rerank", "1"), ("/v2/rerank", "2"), ("/rerank", "1"), ("/v1/v2/rerank", "2")]
)
async def test_answer_names_the_interface_version(client: httpx.AsyncClient, path: str, version: str) -> None:
    answer = await client.post(path, json={"query": "q", "documents": ["a"]})

    assert answer.json()["meta"]["api_version"]["version"] == version


async def test_query_parameters_fill_the_request(client: httpx.AsyncClient, service: Any) -> None:
    answer = await client.get("/v1/models?page_size=5&provider=local")

    assert answer.status_code == 200
    assert answer.json()["models"][0]["name"] == "local/default"
    assert service.requests == [messages.ListModelsRequest(page_size=5, provider="local")]


@pytest.mark.parametrize(
    "path", ["/v1/models/local/default", "/v1/models/local%2Fdefault", "/v1//models//local/default/"]
)
async def test_model_names_may_hold_slashes(client: httpx.AsyncClient, service: Any, path: str) -> None:
    answer = await client.get(path)

    assert answer.json()["name"] == "local/default"
    assert service.requests == [messages.GetModelRequest(model="local/default")]


async def test_context_carries_id_headers_and_deadline(client: httpx.AsyncClient, service: Any) -> None:
    headers = {"x-request-id": "call-1", "x-request-timeout-ms": "60000", "traceparent": "00-1-2-01"}
    answer = await client.post("/v1/rerank", json={"query": "q", "documents": ["a"]}, headers=headers)

    call = service.calls[0]
    assert answer.headers["x-request-id"] == "call-1"
    assert (call.request_id, call.transport, call.metadata["traceparent"]) == ("call-1", "http", "00-1-2-01")
    assert 50 < call.deadline_s - time.monotonic() <= 60


async def test_unusable_request_id_is_replaced(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/models", headers={"x-request-id": "x" * 200})

    assert len(answer.headers["x-request-id"]) == 32


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=UTF-8", None])
async def test_json_media_types(client: httpx.AsyncClient, content_type: str | None) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    answer = await client.post("/rerank", content=b'{"query":"q","documents":["a"]}', headers=headers)

    assert answer.status_code == 200
