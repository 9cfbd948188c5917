"""Voyage's SDK."""

from __future__ import annotations

from typing import Any

import voyageai
from checks import KEY, LIMITED, QUERY, TEXTS, UNKNOWN, URL, check, once, pairs, run

client = voyageai.Client(api_key=KEY, base_url=f"{URL}/v1")


def read(answer: Any) -> dict[str, Any]:
    found = [{"index": result.index, "relevance_score": result.relevance_score} for result in answer.results]
    return {**pairs(found), "documents": [result.document for result in answer.results], "tokens": answer.total_tokens}


@check
def strings() -> Any:
    return read(client.rerank(QUERY, TEXTS, model="rerank-2.5"))


@check
def top_n() -> Any:
    return read(client.rerank(QUERY, TEXTS, model="rerank-2.5", top_k=2, truncation=False))


@check
async def asynchronous() -> Any:
    patient = voyageai.AsyncClient(api_key=KEY, base_url=f"{URL}/v1")
    return read(await patient.rerank(QUERY, TEXTS, model="rerank-2.5"))


@check
def unknown_model() -> Any:
    client.rerank(QUERY, TEXTS, model=UNKNOWN)


@check
def bad_request() -> Any:
    client.rerank(QUERY, [], model="rerank-2.5")


@check
def limited() -> Any:
    client.rerank(QUERY, TEXTS, model=LIMITED)


@check
def recovers() -> Any:
    stubborn = voyageai.Client(api_key=KEY, base_url=f"{URL}/v1", max_retries=2)
    return read(stubborn.rerank(QUERY, TEXTS, model=once("voyageai")))


run()
