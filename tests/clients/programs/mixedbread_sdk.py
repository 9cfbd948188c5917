"""Mixedbread's SDK."""

from __future__ import annotations

from typing import Any

import mixedbread
from checks import KEY, LIMITED, OBJECTS, QUERY, TEXTS, UNKNOWN, URL, check, once, pairs, run

MODEL = "mixedbread-ai/mxbai-rerank-large-v2"
client = mixedbread.Mixedbread(api_key=KEY, base_url=URL)


def read(answer: Any) -> dict[str, Any]:
    return {**pairs(answer.data, "score"), "model": answer.model, "tokens": answer.usage.total_tokens}


@check
def strings() -> Any:
    return read(client.rerank(model=MODEL, query=QUERY, input=TEXTS))


@check
def objects() -> Any:
    return read(client.rerank(model=MODEL, query=QUERY, input=[{"text": text} for text in TEXTS]))


@check
def rank_fields() -> Any:
    return read(client.rerank(model=MODEL, query=QUERY, input=OBJECTS, rank_fields=["body"]))


@check
def top_n() -> Any:
    return read(client.rerank(model=MODEL, query=QUERY, input=TEXTS, top_k=2))


@check
def documents() -> Any:
    answer = client.rerank(model=MODEL, query=QUERY, input=TEXTS, return_input=True)
    return {**read(answer), "documents": [result.input for result in answer.data]}


@check
async def asynchronous() -> Any:
    async with mixedbread.AsyncMixedbread(api_key=KEY, base_url=URL) as patient:
        return read(await patient.rerank(model=MODEL, query=QUERY, input=TEXTS))


@check
def unknown_model() -> Any:
    client.rerank(model=UNKNOWN, query=QUERY, input=TEXTS)


@check
def bad_request() -> Any:
    client.rerank(model=MODEL, query=QUERY, input=[])


@check
def limited() -> Any:
    client.with_options(max_retries=0).rerank(model=LIMITED, query=QUERY, input=TEXTS)


@check
def recovers() -> Any:
    return read(client.rerank(model=once("mixedbread"), query=QUERY, input=TEXTS))


run()
