"""LangChain's CohereRerank."""

from __future__ import annotations

from typing import Any

from checks import KEY, LIMITED, QUERY, TEXTS, UNKNOWN, URL, by_text, check, once, pairs, run
from langchain_cohere import CohereRerank
from langchain_core.documents import Document

DOCUMENTS = [Document(page_content=text, metadata={"place": index}) for index, text in enumerate(TEXTS)]


def reranker(model: str = "rerank-v3.5", top_n: int = 5) -> CohereRerank:
    return CohereRerank(cohere_api_key=KEY, base_url=URL, model=model, top_n=top_n)


def read(documents: Any) -> dict[str, Any]:
    return by_text((document.page_content, document.metadata["relevance_score"]) for document in documents)


@check
def strings() -> Any:
    return pairs(reranker().rerank(TEXTS, QUERY))


@check
def documents() -> Any:
    return read(reranker().compress_documents(DOCUMENTS, QUERY))


@check
def rank_fields() -> Any:
    found = [{"body": text, "rank": "first"} for text in TEXTS]
    return pairs(reranker().rerank(found, QUERY, rank_fields=["body"]))


@check
def top_n() -> Any:
    return read(reranker(top_n=2).compress_documents(DOCUMENTS, QUERY))


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


@check
def recovers() -> Any:
    return read(reranker(once("langchain")).compress_documents(DOCUMENTS, QUERY))


run()
