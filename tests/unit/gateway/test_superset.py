"""The shared dialect: one body and one answer for many services' clients."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from rerankd.contract import messages


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


async def test_unknown_fields_are_warned_of(client: httpx.AsyncClient, service: Any) -> None:
    request = {"query": "q", "documents": ["a"], "topn": 1, "kwargs": None, "priority": 3}
    answer = await client.post("/v1/rerank", json=request)

    assert answer.json()["meta"]["warnings"] == [
        "topn was ignored: it is not a field; did you mean top_n?",
        "kwargs was ignored: it is not a field",
    ]
    assert service.requests[0].priority == 3


@pytest.mark.parametrize(
    ("body", "field", "text"),
    [
        (b'{"qeury":"q","documents":["a"]}', "qeury", "did you mean query?"),
        (b'{"query":"q","document":["a"]}', "document", "did you mean documents?"),
        (b'{"query":1,"documents":["a"]}', "query", "must be a string or null, was an integer"),
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
