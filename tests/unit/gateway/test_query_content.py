"""Queries that are objects or lists, in every dialect: text and image are the query; other parts are refused."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

DOG_PARTS = {"content": [{"type": "text", "text": "dog"}]}
IMAGE = {"type": "image_url", "image_url": {"url": "https://h/i.png"}}

BODIES: dict[str, tuple[str, str]] = {
    "/v1/rerank": ("query", "documents"),
    "/cohere/v2/rerank": ("query", "documents"),
    "/jina/v1/rerank": ("query", "documents"),
    "/voyage/v1/rerank": ("query", "documents"),
    "/vllm/v1/rerank": ("query", "documents"),
    "/together/v1/rerank": ("query", "documents"),
    "/pinecone/rerank": ("query", "documents"),
    "/infinity/rerank": ("query", "documents"),
    "/sglang/v1/rerank": ("query", "documents"),
    "/siliconflow/v1/rerank": ("query", "documents"),
    "/localai/v1/rerank": ("query", "documents"),
    "/xinference/v1/rerank": ("query", "documents"),
    "/openrouter/api/v1/rerank": ("query", "documents"),
    "/zeroentropy/v1/models/rerank": ("query", "documents"),
    "/fireworks/inference/v1/rerank": ("query", "documents"),
    "/weaviate/rerank": ("query", "documents"),
    "/tei/rerank": ("query", "texts"),
    "/isaacus/v1/rerankings": ("query", "texts"),
    "/mixedbread/v1/reranking": ("query", "input"),
    "/nim/v1/ranking": ("query", "passages"),
    "/vertex/v1/projects/p/rankingConfigs/r:rank": ("query", "records"),
    "/deepinfra/v1/inference/m": ("queries", "documents"),
}
"""Path of a dialect: its names of query and documents."""


def body_for(path: str, query: Any) -> dict[str, Any]:
    query_name, documents = BODIES[path]
    items: list[Any] = ["a"]
    if documents == "passages":
        items = [{"text": "a"}]
    elif documents == "records":
        items = [{"id": "1", "content": "a"}]
    return {query_name: [query] if query_name == "queries" else query, documents: items}


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    "query",
    [
        "dog",
        {"text": "dog"},
        {"content": "dog"},
        DOG_PARTS,
        ["dog"],
        [{"type": "text", "text": "dog"}],
        [{"text": "dog"}],
    ],
)
async def test_the_text_of_a_query_is_the_query(client: httpx.AsyncClient, service: Any, path: str, query: Any) -> None:
    answer = await client.post(path, json=body_for(path, query))

    assert answer.status_code == 200, answer.text
    assert service.requests[-1].query == "dog"


TEXT_ONLY = {path for path, names in BODIES.items() if names != ("query", "documents")}
"""Their services have no queries with images."""


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"content": [{"type": "text", "text": "dog"}, IMAGE]}, "dog"),
        ([IMAGE], ""),
        ({"image": "https://h/i.png"}, ""),
    ],
)
async def test_an_image_is_passed_on_or_refused(
    client: httpx.AsyncClient, service: Any, path: str, query: Any, text: str
) -> None:
    answer = await client.post(path, json=body_for(path, query))

    if path in TEXT_ONLY:
        assert answer.status_code in (400, 422)
        assert (answer.headers["x-error-reason"], service.requests) == ("CAPABILITY_UNSUPPORTED", [])
    else:
        assert answer.status_code == 200, answer.text
        assert (service.requests[-1].query, service.requests[-1].query_image) == (text, "https://h/i.png")


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"content": [{"type": "video_url", "video_url": {"url": "https://h/v"}}]}, "INVALID_REQUEST"),
        ({"content": [IMAGE, IMAGE]}, "INVALID_REQUEST"),
        ({"content": [7]}, "INVALID_REQUEST"),
        ({"content": [{"type": "text", "text": 7}]}, "INVALID_REQUEST"),
        ({"image_url": {"url": 7}}, "INVALID_REQUEST"),
        ({"colour": "red"}, "INVALID_REQUEST"),
        (["a", "b"], "INVALID_REQUEST"),
    ],
)
async def test_other_queries_are_refused_by_name(
    client: httpx.AsyncClient, service: Any, path: str, query: Any, reason: str
) -> None:
    answer = await client.post(path, json=body_for(path, query))

    assert answer.status_code in (400, 422)
    assert answer.headers["x-error-reason"] == reason
    assert "quer" in answer.text
    assert service.requests == []


@pytest.mark.parametrize(
    ("part", "complaint"),
    [
        ({"type": "video_url", "video_url": {"url": "u"}}, "documents[0].content[1] is a part of type video_url"),
        (7, "documents[0].content[1] must be a string or an object, was an integer"),
    ],
)
async def test_parts_of_documents_are_not_dropped(client: httpx.AsyncClient, part: Any, complaint: str) -> None:
    documents = [{"content": [{"type": "text", "text": "a"}, part]}]
    answer = await client.post("/vllm/rerank", json={"query": "q", "documents": documents})

    assert answer.status_code == 400
    assert complaint in answer.json()["message"]


async def test_bedrock_takes_one_query(client: httpx.AsyncClient) -> None:
    query = {"type": "TEXT", "textQuery": {"text": "dog"}}
    source = {"inlineDocumentSource": {"textDocument": {"text": "a"}}}
    answer = await client.post("/bedrock/rerank", json={"queries": [query, query], "sources": [source]})

    assert (answer.status_code, answer.json()["message"]) == (400, "queries must have exactly one query, not 2")
