"""Infinity's client, generated from its server's OpenAPI document."""

from __future__ import annotations

from typing import Any

from checks import LIMITED, QUERY, TEXTS, UNKNOWN, URL, check, run
from infinity_client import Client
from infinity_client.api.default import rerank
from infinity_client.models import RerankInput

client = Client(base_url=URL, raise_on_unexpected_status=True)


def body(**arguments: Any) -> RerankInput:
    return RerankInput(**{"query": QUERY, "documents": TEXTS, "model": "bge-reranker-v2-m3", **arguments})


def read(answer: Any) -> dict[str, Any]:
    scored = [[result.index, result.relevance_score] for result in answer.results]
    return {"pairs": scored, "model": answer.model, "tokens": answer.usage.total_tokens}


@check
def strings() -> Any:
    return read(rerank.sync(client=client, body=body()))


@check
def raw_scores() -> Any:
    return read(rerank.sync(client=client, body=body(raw_scores=True)))


@check
def top_n() -> Any:
    return read(rerank.sync(client=client, body=body(top_n=2)))


@check
def documents() -> Any:
    answer = rerank.sync(client=client, body=body(return_documents=True))
    return {**read(answer), "documents": [result.document for result in answer.results]}


@check
async def asynchronous() -> Any:
    return read(await rerank.asyncio(client=client, body=body()))


@check
def unknown_model() -> Any:
    rerank.sync(client=client, body=body(model=UNKNOWN))


@check
def bad_request() -> Any:
    rerank.sync(client=client, body=body(query=""))


@check
def limited() -> Any:
    rerank.sync(client=client, body=body(model=LIMITED))


run()
