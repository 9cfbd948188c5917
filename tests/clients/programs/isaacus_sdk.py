"""Isaacus's SDK."""

from __future__ import annotations

from typing import Any

import isaacus
from checks import KEY, LIMITED, QUERY, TEXTS, UNKNOWN, URL, check, once, pairs, run

client = isaacus.Isaacus(api_key=KEY, base_url=f"{URL}/v1")


def rerank(api: isaacus.Isaacus = client, **arguments: Any) -> dict[str, Any]:
    answer = api.rerankings.create(**{"model": "rerank-v3.5", "query": QUERY, "texts": TEXTS, **arguments})
    return {**pairs(answer.results, "score"), "tokens": answer.usage.input_tokens}


@check
def strings() -> Any:
    return rerank()


@check
def top_n() -> Any:
    return rerank(top_n=2)


@check
async def asynchronous() -> Any:
    async with isaacus.AsyncIsaacus(api_key=KEY, base_url=f"{URL}/v1") as patient:
        answer = await patient.rerankings.create(model="rerank-v3.5", query=QUERY, texts=TEXTS)
    return pairs(answer.results, "score")


@check
def unknown_model() -> Any:
    rerank(model=UNKNOWN)


@check
def bad_request() -> Any:
    rerank(texts=[])


@check
def limited() -> Any:
    rerank(client.with_options(max_retries=0), model=LIMITED)


@check
def recovers() -> Any:
    return rerank(model=once("isaacus"))


run()
