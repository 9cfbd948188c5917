"""Cohere's SDK, its v1 API."""

from __future__ import annotations

from typing import Any

import cohere
from checks import KEY, LIMITED, OBJECTS, QUERY, RERANKER, TEXTS, UNKNOWN, URL, check, once, pairs, run

client = cohere.Client(api_key=KEY, base_url=URL)
impatient = cohere.Client(api_key=KEY, base_url=URL, max_retries=0)


@check
def strings() -> Any:
    answer = client.rerank(model="rerank-v3.5", query=QUERY, documents=TEXTS)
    return {**pairs(answer.results), "id": answer.id, "version": answer.meta.api_version.version}


@check
def objects() -> Any:
    return pairs(client.rerank(model="rerank-v3.5", query=QUERY, documents=[{"text": text} for text in TEXTS]).results)


@check
def rank_fields() -> Any:
    answer = client.rerank(model="rerank-v3.5", query=QUERY, documents=OBJECTS, rank_fields=["body"])
    return pairs(answer.results)


@check
def top_n() -> Any:
    return pairs(client.rerank(model="rerank-v3.5", query=QUERY, documents=TEXTS, top_n=2).results)


@check
def documents() -> Any:
    answer = client.rerank(model="rerank-v3.5", query=QUERY, documents=TEXTS, return_documents=True)
    return {**pairs(answer.results), "documents": [result.document.text for result in answer.results]}


@check
def default_model() -> Any:
    return pairs(client.rerank(query=QUERY, documents=TEXTS, max_chunks_per_doc=10).results)


@check
async def asynchronous() -> Any:
    async with cohere.AsyncClient(api_key=KEY, base_url=URL) as patient:
        return pairs((await patient.rerank(model="rerank-v3.5", query=QUERY, documents=TEXTS)).results)


@check
def reranker() -> Any:
    return pairs(client.rerank(model=RERANKER, query=QUERY, documents=TEXTS).results)


@check
def unknown_model() -> Any:
    client.rerank(model=UNKNOWN, query=QUERY, documents=TEXTS)


@check
def bad_request() -> Any:
    client.rerank(model="rerank-v3.5", query=QUERY, documents=[])


@check
def limited() -> Any:
    impatient.rerank(model=LIMITED, query=QUERY, documents=TEXTS)


@check
def recovers() -> Any:
    return pairs(client.rerank(model=once("cohere-v1"), query=QUERY, documents=TEXTS).results)


run()
