"""LangChain's VoyageAIRerank."""

from __future__ import annotations

from typing import Any

from checks import KEY, LIMITED, QUERY, TEXTS, UNKNOWN, URL, by_text, check, run
from langchain_core.documents import Document
from langchain_voyageai import VoyageAIRerank

DOCUMENTS = [Document(page_content=text) for text in TEXTS]


def reranker(model: str = "rerank-2.5", top_k: int | None = None) -> VoyageAIRerank:
    return VoyageAIRerank(voyage_api_key=KEY, base_url=f"{URL}/v1", model=model, top_k=top_k)


def read(documents: Any) -> dict[str, Any]:
    return by_text((document.page_content, document.metadata["relevance_score"]) for document in documents)


@check
def documents() -> Any:
    return read(reranker().compress_documents(DOCUMENTS, QUERY))


@check
def top_n() -> Any:
    return read(reranker(top_k=2).compress_documents(DOCUMENTS, QUERY))


@check
async def asynchronous() -> Any:
    return read(await reranker().acompress_documents(DOCUMENTS, QUERY))


@check
def unknown_model() -> Any:
    reranker(UNKNOWN).compress_documents(DOCUMENTS, QUERY)


@check
def bad_request() -> Any:
    reranker().compress_documents(DOCUMENTS, "")


@check
def limited() -> Any:
    reranker(LIMITED).compress_documents(DOCUMENTS, QUERY)


run()
