"""The shared dialect: one body and one answer for many services' clients."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from rerankd.contract import messages
from rerankd.gateway.dialects.superset import Superset


async def test_results_are_there_under_both_names(client: httpx.AsyncClient) -> None:
    body = (await client.post("/v1/rerank", json={"query": "q", "documents": ["a"]})).json()

    assert body["results"] == body["data"] == [{"index": 0, "relevance_score": 0.0}]
    assert body["object"] == "rerank"
    assert {"prompt_tokens", "completion_tokens", "total_tokens"} <= body["usage"].keys()
    assert "warnings" not in body["meta"]


async def test_documents_come_back_as_they_were_sent(client: httpx.AsyncClient) -> None:
    documents = ["a", {"text": "b", "meta": {"page": 1}}, {"title": "t", "year": 2020}]
    request = {"query": "q", "documents": documents, "return_documents": "true"}
    body = (await client.post("/v1/rerank", json=request)).json()

    assert [result["document"] for result in body["results"]] == [{"text": "a"}, *documents[1:]]
    assert [result["document"] for result in body["data"]] == ["a", "b", '{"title":"t","year":2020}']


async def test_objects_are_the_contracts_or_fields_of_their_own(client: httpx.AsyncClient, service: Any) -> None:
    documents = [
        {"text": "a", "id": "1", "meta": {"k": 1}},
        {"title": "t", "id": 7},
        {"content": "c", "url": "u"},
        {"content": [{"type": "text", "text": "p"}, {"type": "image_url", "image_url": {"url": "https://h/i"}}]},
    ]
    await client.post("/v1/rerank", json={"query": "q", "documents": documents})

    assert service.requests[0].documents == [
        messages.Document(text="a", id="1", metadata={"k": 1}),
        messages.Document(fields={"title": "t", "id": 7}),
        messages.Document(text="c", fields={"content": "c", "url": "u"}),
        messages.Document(text="p", image="https://h/i"),
    ]


@pytest.mark.parametrize(("written", "meant"), [("docs", "documents"), ("doc", "documents"), ("document", "documents")])
async def test_what_is_written_for_documents_is_suggested(client: httpx.AsyncClient, written: str, meant: str) -> None:
    answer = await client.post("/v2/rerank", json={"query": "q", written: ["a"]})
    assert answer.status_code == 400
    assert answer.json()["message"] == f"{written} is not a field; did you mean {meant}?"


async def test_other_fields_become_options(client: httpx.AsyncClient, service: Any) -> None:
    options = {"truncate": "NONE", "x": 1}
    request = {"query": "q", "documents": ["a"], "truncate": "END", "topn": 1, "kwargs": None, "priority": 3}
    await client.post("/v1/rerank", json={**request, "provider_options": options})

    assert service.requests[0].priority == 3
    assert service.requests[0].provider_options == {"truncate": "NONE", "topn": 1, "kwargs": None, "x": 1}


def test_a_long_value_of_an_unknown_name_is_warned_of() -> None:
    body = {"query": "q", "documents": ["a"], "blob": "x" * 70_000, "metadata": ["y" * 70_000]}
    parsed = Superset().read(json.dumps(body).encode())

    assert parsed.warnings == ["blob was ignored: no provider has such a parameter"]
    assert parsed.request.provider_options == {"metadata": ["y" * 70_000]}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v2/rerank", {"query": "q", "documents": ["a"]}),
        ("/voyage/v1/rerank", {"query": "q", "documents": ["a"]}),
        ("/jina/v1/rerank", {"query": "q", "documents": ["a"]}),
        ("/v1/rerank", {"query": "q", "documents": ["a"], "top_k": 1}),
        ("/v1/ranking", {"query": {"text": "q"}, "passages": [{"text": "a"}]}),
        ("/rerank", {"query": "q", "texts": ["a"]}),
    ],
)
async def test_every_route_takes_other_fields(
    client: httpx.AsyncClient, service: Any, path: str, body: dict[str, Any]
) -> None:
    await client.post(path, json={**body, "overlap_tokens": 80})
    assert service.requests[0].provider_options == {"overlap_tokens": 80}


@pytest.mark.parametrize(
    ("body", "field", "text"),
    [
        (b'{"qeury":"q","documents":["a"]}', "qeury", "did you mean query?"),
        (b'{"query":"q","document":["a"]}', "document", "did you mean documents?"),
        (
            b'{"query":1,"documents":["a"]}',
            "query",
            "must be a string or an object or an array or null, was an integer",
        ),
        (b'{"query":"q","documents":[{"text":1}]}', "documents[0].text", "must be a string, was an integer"),
        (b'{"query":"q","documents":"a"}', "documents", "must be an array or null, was a string"),
        (b'{"query":"q","documents":["a"],"return_documents":"maybe"}', "return_documents", "must be a boolean"),
        (b'{"query":"q","documents":["a"],"top_n":"2"}', "top_n", "must be an integer or null, was a string"),
    ],
)
async def test_faults(client: httpx.AsyncClient, body: bytes, field: str, text: str) -> None:
    answer = await client.post("/v1/rerank", content=body)

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, field)
    assert text in answer.json()["message"]


async def test_no_error_object_while_the_dialect_is_not_known(client: httpx.AsyncClient) -> None:
    body = (await client.post("/v1/rerank", content=b"{")).json()

    assert body["message"] == body["detail"]
    assert "error" not in body
