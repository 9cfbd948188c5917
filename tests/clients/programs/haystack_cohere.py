"""Haystack's ranker for Cohere."""

from __future__ import annotations

from typing import Any

from checks import KEY, LIMITED, QUERY, TEXTS, UNKNOWN, URL, by_text, check, once, run
from haystack import Document
from haystack.utils import Secret
from haystack_integrations.components.rankers.cohere import CohereRanker

DOCUMENTS = [Document(content=text) for text in TEXTS]


def ranker(model: str = "rerank-v3.5", top_k: int = 10) -> CohereRanker:
    return CohereRanker(model=model, top_k=top_k, api_key=Secret.from_token(KEY), api_base_url=URL)


def read(answer: dict[str, list[Document]]) -> dict[str, Any]:
    return by_text((document.content, document.score) for document in answer["documents"])


@check
def strings() -> Any:
    return read(ranker().run(query=QUERY, documents=DOCUMENTS))


@check
def top_n() -> Any:
    return read(ranker(top_k=2).run(query=QUERY, documents=DOCUMENTS))


@check
def empty_document() -> Any:
    ranked = ranker().run(query=QUERY, documents=[Document(content=None), *DOCUMENTS])["documents"]
    return {"contents": [document.content for document in ranked]}


@check
async def asynchronous() -> Any:
    return read(await ranker().run_async(query=QUERY, documents=DOCUMENTS))


@check
def unknown_model() -> Any:
    ranker(UNKNOWN).run(query=QUERY, documents=DOCUMENTS)


@check
def bad_request() -> Any:
    ranker().run(query="", documents=DOCUMENTS)


@check
def limited() -> Any:
    ranker(LIMITED).run(query=QUERY, documents=DOCUMENTS)


@check
def recovers() -> Any:
    return read(ranker(once("haystack")).run(query=QUERY, documents=DOCUMENTS))


run()
