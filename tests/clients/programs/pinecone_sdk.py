"""Pinecone's SDK; `inference.rerank`."""

from __future__ import annotations

from typing import Any

import pinecone
from checks import KEY, LIMITED, OBJECTS, QUERY, TEXTS, UNKNOWN, URL, check, once, run

MODEL = "bge-reranker-v2-m3"
inference = pinecone.Pinecone(api_key=KEY, host=URL).inference


def read(answer: Any) -> dict[str, Any]:
    scored = [[result.index, result.score] for result in answer.data]
    return {"pairs": scored, "model": answer.model, "units": answer.usage.rerank_units}


@check
def strings() -> Any:
    return read(inference.rerank(model=MODEL, query=QUERY, documents=TEXTS, return_documents=False))


@check
def objects() -> Any:
    return read(inference.rerank(model=MODEL, query=QUERY, documents=[{"id": text, "text": text} for text in TEXTS]))


@check
def rank_fields() -> Any:
    return read(inference.rerank(model=MODEL, query=QUERY, documents=OBJECTS, rank_fields=["body"]))


@check
def top_n() -> Any:
    return read(inference.rerank(model=MODEL, query=QUERY, documents=TEXTS, top_n=2))


@check
def documents() -> Any:
    answer = inference.rerank(model=MODEL, query=QUERY, documents=TEXTS, parameters={"truncate": "END"})
    return {**read(answer), "documents": [result.document["text"] for result in answer.data]}


@check
async def asynchronous() -> Any:
    async with pinecone.AsyncPinecone(api_key=KEY, host=URL) as patient:
        return read(await patient.inference.rerank(model=MODEL, query=QUERY, documents=TEXTS))


@check
def unknown_model() -> Any:
    inference.rerank(model=UNKNOWN, query=QUERY, documents=TEXTS)


@check
def bad_request() -> Any:
    inference.rerank(model=MODEL, query="long" * 30_000, documents=TEXTS)


@check
def limited() -> Any:
    inference.rerank(model=LIMITED, query=QUERY, documents=TEXTS)


@check
def recovers() -> Any:
    return read(inference.rerank(model=once("pinecone"), query=QUERY, documents=TEXTS))


run()
