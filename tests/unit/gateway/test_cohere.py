"""Cohere's rerank API and the calls beside it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from rerankd.contract import messages
from rerankd.contract.errors import Reason, ServiceError

ASKED = {"model": "m", "query": "q", "documents": ["a", "b"]}


@pytest.mark.parametrize(("path", "version"), [("/v2/rerank", "2"), ("/v1/v2/rerank", "2"), ("/cohere/v1/rerank", "1")])
async def test_answer_has_coheres_keys_and_the_model(client: httpx.AsyncClient, path: str, version: str) -> None:
    answer = await client.post(path, json=ASKED, headers={"x-request-id": "r1"})

    assert answer.json() == {
        "id": "r1",
        "model": "fake",
        "results": [{"index": 0, "relevance_score": 0.0}, {"index": 1, "relevance_score": 0.0}],
        "meta": {"api_version": {"version": version}},
    }


async def test_documents_and_rank_fields(client: httpx.AsyncClient, service: Any) -> None:
    asked: dict[str, Any] = {
        **ASKED,
        "documents": [{"title": "x", "text": "t"}, "b"],
        "rank_fields": ["title"],
        "top_n": None,
    }
    asked |= {"return_documents": True, "max_chunks_per_doc": None}
    answer = await client.post("/cohere/v1/rerank", json=asked)

    assert [result["document"] for result in answer.json()["results"]] == [asked["documents"][0], {"text": "b"}]
    assert service.requests[0].documents[0].fields == {"title": "x", "text": "t"}
    assert service.requests[0].rank_fields == ["title"]


async def test_parameters_of_new_models_are_options(client: httpx.AsyncClient, service: Any) -> None:
    await client.post("/v2/rerank", json={**ASKED, "relevant_spans": {"mode": "enabled"}})

    assert service.requests[0].provider_options == {"relevant_spans": {"mode": "enabled"}}


async def test_tokens_are_told_in_meta(client: httpx.AsyncClient, service: Any) -> None:
    async def answer_with_usage(*_: Any) -> Any:
        units = messages.BilledUnits(search_units=1)
        usage = messages.Usage(prompt_tokens=7)
        return messages.RerankResponse(usage=usage, meta=messages.Meta(billed_units=units, warnings=["cut"]))

    service.answer = answer_with_usage
    meta = (await client.post("/v2/rerank", json=ASKED)).json()["meta"]

    assert meta["tokens"] == {"input_tokens": 7, "output_tokens": 0}
    assert meta["billed_units"]["search_units"] == 1
    assert meta["warnings"] == ["cut"]


@pytest.mark.parametrize(
    ("reason", "status"), [(Reason.MODEL_NOT_FOUND, 404), (Reason.OVERLOADED, 429), (Reason.API_KEY_INVALID, 401)]
)
async def test_errors(client: httpx.AsyncClient, service: Any, reason: Reason, status: int) -> None:
    async def fail(*_: Any) -> Any:
        raise ServiceError(reason, "told")

    service.answer = fail
    answer = await client.post("/v2/rerank", json=ASKED, headers={"x-request-id": "r1"})

    assert (answer.status_code, answer.json()) == (status, {"id": "r1", "message": "told"})
    assert answer.headers["x-error-reason"] == reason
    assert answer.headers.get("retry-after") == ("1" if status == 429 else None)


async def test_unreadable_body_is_told_in_coheres_form(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v2/rerank", content=b"{")

    assert answer.status_code == 400
    assert answer.json().keys() == {"id", "message"}


async def test_models(client: httpx.AsyncClient, service: Any) -> None:
    body = (await client.get("/v1/models?endpoint=rerank&page_size=5&page_token=a&default_only=false")).json()

    assert body["models"][0]["name"] == body["data"][0]["id"] == "local/default"
    assert body["models"][0]["endpoints"] == ["rerank"]
    assert service.requests[0] == messages.ListModelsRequest(page_size=5, page_token="a")


async def test_no_models_for_another_endpoint(client: httpx.AsyncClient) -> None:
    assert (await client.get("/cohere/v1/models?endpoint=chat")).json()["models"] == []


@pytest.mark.parametrize("path", ["/v1/models/a/b", "/v1/models/a%2Fb", "/models/a/b", "/cohere/v1/models/a/b"])
async def test_a_model(client: httpx.AsyncClient, path: str) -> None:
    body = (await client.get(path)).json()

    assert (body["name"], body["id"], body["object"], body["model_type"]) == ("a/b", "a/b", "model", "rerank")


async def test_check_api_key(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/check-api-key")

    assert answer.json() == {"valid": True}
