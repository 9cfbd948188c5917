"""Together's SDK."""

from __future__ import annotations

from typing import Any

import together
from checks import KEY, LIMITED, OBJECTS, QUERY, TEXTS, UNKNOWN, URL, check, once, pairs, run

MODEL = "Salesforce/Llama-Rank-v1"
client = together.Together(api_key=KEY, base_url=URL)


def read(answer: Any) -> dict[str, Any]:
    return {**pairs(answer.results), "id": answer.id, "model": answer.model, "object": answer.object}


@check
def strings() -> Any:
    return read(client.rerank.create(model=MODEL, query=QUERY, documents=TEXTS))


@check
def objects() -> Any:
    return read(client.rerank.create(model=MODEL, query=QUERY, documents=[{"text": text} for text in TEXTS]))


@check
def rank_fields() -> Any:
    return read(client.rerank.create(model=MODEL, query=QUERY, documents=OBJECTS, rank_fields=["body"]))


@check
def top_n() -> Any:
    return read(client.rerank.create(model=MODEL, query=QUERY, documents=TEXTS, top_n=2))


@check
def documents() -> Any:
    answer = client.rerank.create(model=MODEL, query=QUERY, documents=TEXTS, return_documents=True)
    return {**read(answer), "documents": [result.document.text for result in answer.results]}


@check
async def asynchronous() -> Any:
    async with together.AsyncTogether(api_key=KEY, base_url=URL) as patient:
        return read(await patient.rerank.create(model=MODEL, query=QUERY, documents=TEXTS))


@check
def unknown_model() -> Any:
    client.rerank.create(model=UNKNOWN, query=QUERY, documents=TEXTS)


@check
def bad_request() -> Any:
    client.rerank.create(model=MODEL, query=QUERY, documents=[])


@check
def limited() -> Any:
    client.with_options(max_retries=0).rerank.create(model=LIMITED, query=QUERY, documents=TEXTS)


@check
def recovers() -> Any:
    return read(client.rerank.create(model=once("together"), query=QUERY, documents=TEXTS))


run()
