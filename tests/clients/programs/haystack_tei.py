"""Haystack's ranker for Text Embeddings Inference, over HTTP."""

from __future__ import annotations

from typing import Any

from checks import KEY, QUERY, TEXTS, URL, by_text, check, run
from haystack import Document
from haystack.utils import Secret
from haystack_integrations.components.rankers.huggingface_api import HuggingFaceTEIRanker, TruncationDirection

DOCUMENTS = [Document(content=text) for text in TEXTS]


def ranker(**arguments: Any) -> HuggingFaceTEIRanker:
    return HuggingFaceTEIRanker(url=URL, token=Secret.from_token(KEY), max_retries=1, **arguments)


def read(answer: dict[str, list[Document]]) -> dict[str, Any]:
    return by_text((document.content, document.score) for document in answer["documents"])


@check
def strings() -> Any:
    return read(ranker().run(query=QUERY, documents=DOCUMENTS))


@check
def top_n() -> Any:
    return read(ranker(top_k=2).run(query=QUERY, documents=DOCUMENTS))


@check
def truncation() -> Any:
    return read(ranker().run(query=QUERY, documents=DOCUMENTS, truncation_direction=TruncationDirection.RIGHT))


@check
def raw_scores() -> Any:
    return read(ranker(raw_scores=True).run(query=QUERY, documents=DOCUMENTS))


@check
async def asynchronous() -> Any:
    return read(await ranker().run_async(query=QUERY, documents=DOCUMENTS))


@check
def bad_request() -> Any:
    ranker().run(query="", documents=DOCUMENTS)


run()
