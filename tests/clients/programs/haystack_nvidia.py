"""Haystack's ranker for NVIDIA NIM."""

from __future__ import annotations

from typing import Any

from checks import KEY, LIMITED, QUERY, TEXTS, UNKNOWN, URL, by_text, check, run
from haystack import Document
from haystack.utils import Secret
from haystack_integrations.components.rankers.nvidia import NvidiaRanker

DOCUMENTS = [Document(content=text) for text in TEXTS]


def rank(model: str = "nvidia/llama-nemotron-rerank-1b-v2", top_k: int = 5, query: str = QUERY) -> Any:
    ranker = NvidiaRanker(model=model, top_k=top_k, api_url=f"{URL}/v1", api_key=Secret.from_token(KEY), truncate="END")
    ranker.warm_up()
    found = ranker.run(query=query, documents=DOCUMENTS)["documents"]
    return by_text((document.content, document.score) for document in found)


@check
def logits() -> Any:
    return rank()


@check
def top_n() -> Any:
    return rank(top_k=2)


@check
def unknown_model() -> Any:
    rank(UNKNOWN)


@check
def bad_request() -> Any:
    rank(query="q" * 120_000)


@check
def limited() -> Any:
    rank(LIMITED)


run()
