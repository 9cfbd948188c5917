"""LangChain's NVIDIARerank."""

from __future__ import annotations

from typing import Any

from checks import GIVEN, KEY, LIMITED, QUERY, TEXTS, UNKNOWN, URL, by_text, check, run
from langchain_core.documents import Document
from langchain_nvidia_ai_endpoints import NVIDIARerank

MODEL: str = GIVEN["model"]
DOCUMENTS = [Document(page_content=text) for text in TEXTS]


def reranker(model: str = MODEL, **arguments: Any) -> NVIDIARerank:
    return NVIDIARerank(base_url=f"{URL}/v1", api_key=KEY, model=model, **arguments)


def read(documents: Any) -> dict[str, Any]:
    return by_text((document.page_content, document.metadata["relevance_score"]) for document in documents)


@check
def logits() -> Any:
    return read(reranker().compress_documents(DOCUMENTS, QUERY))


@check
def top_n() -> Any:
    return read(reranker(top_n=2).compress_documents(DOCUMENTS, QUERY))


@check
def truncation() -> Any:
    return read(reranker(truncate="END").compress_documents(DOCUMENTS, QUERY))


@check
def batches() -> Any:
    return read(reranker(max_batch_size=2).compress_documents(DOCUMENTS, QUERY))


@check
async def asynchronous() -> Any:
    return read(await reranker().acompress_documents(DOCUMENTS, QUERY))


@check
def models() -> Any:
    return {"models": [model.id for model in reranker().available_models]}


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
