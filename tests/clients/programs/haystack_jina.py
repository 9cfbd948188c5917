"""Haystack's ranker for Jina."""

from __future__ import annotations

from typing import Any

from checks import KEY, LIMITED, QUERY, TEXTS, UNKNOWN, URL, by_text, check, run
from haystack import Document
from haystack.utils import Secret
from haystack_integrations.components.rankers.jina import JinaRanker

DOCUMENTS = [Document(content=text) for text in TEXTS]


def rank(model: str = "jina-reranker-v2-base-multilingual", top_k: int | None = None, query: str = QUERY) -> Any:
    ranker = JinaRanker(model=model, top_k=top_k, api_key=Secret.from_token(KEY), base_url=f"{URL}/v1/rerank")
    found = ranker.run(query=query, documents=DOCUMENTS)["documents"]
    return by_text((document.content, document.score) for document in found)


@check
def strings() -> Any:
    return rank()


@check
def top_n() -> Any:
    return rank(top_k=2)


@check
def unknown_model() -> Any:
    rank(UNKNOWN)


@check
def bad_request() -> Any:
    rank(query="")


@check
def limited() -> Any:
    rank(LIMITED)


run()
