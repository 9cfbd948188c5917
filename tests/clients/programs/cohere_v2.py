"""Cohere's SDK, its v2 API."""

from __future__ import annotations

from typing import Any

import cohere
from checks import KEY, LIMITED, QUERY, RERANKER, TEXTS, UNKNOWN, URL, check, once, pairs, run

client = cohere.ClientV2(api_key=KEY, base_url=URL)
impatient = cohere.ClientV2(api_key=KEY, base_url=URL, max_retries=0)


@check
def strings() -> Any:
    answer = client.rerank(model="rerank-v3.5", query=QUERY, documents=TEXTS)
    return {**pairs(answer.results), "id": answer.id, "version": answer.meta.api_version.version}


@check
def top_n() -> Any:
    return pairs(client.rerank(model="rerank-v3.5", query=QUERY, documents=TEXTS, top_n=2).results)


@check
def options() -> Any:
    answer = client.rerank(model="rerank-v3.5", query=QUERY, documents=TEXTS, max_tokens_per_doc=256, priority=1)
    return pairs(answer.results)


@check
async def asynchronous() -> Any:
    async with cohere.AsyncClientV2(api_key=KEY, base_url=URL) as patient:
        return pairs((await patient.rerank(model="rerank-v3.5", query=QUERY, documents=TEXTS)).results)


@check
def versioned_base() -> Any:
    habitual = cohere.ClientV2(api_key=KEY, base_url=f"{URL}/v1")
    return pairs(habitual.rerank(model="rerank-v3.5", query=QUERY, documents=TEXTS).results)


@check
def models() -> Any:
    return {"models": [model.name for model in client.models.list(page_size=100, endpoint="rerank").models]}


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
    return pairs(client.rerank(model=once("cohere-v2"), query=QUERY, documents=TEXTS).results)


run()
