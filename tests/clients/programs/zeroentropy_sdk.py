"""ZeroEntropy's SDK; `models.rerank`."""

from __future__ import annotations

from typing import Any

import zeroentropy
from checks import KEY, LIMITED, QUERY, TEXTS, UNKNOWN, URL, check, once, pairs, run

client = zeroentropy.ZeroEntropy(api_key=KEY, base_url=f"{URL}/v1")


def rerank(api: zeroentropy.ZeroEntropy = client, **arguments: Any) -> dict[str, Any]:
    answer = api.models.rerank(**{"model": "rerank-v3.5", "query": QUERY, "documents": TEXTS, **arguments})
    return {**pairs(answer.results), "tokens": answer.total_tokens}


@check
def strings() -> Any:
    return rerank()


@check
def top_n() -> Any:
    return rerank(top_n=2)


@check
async def asynchronous() -> Any:
    async with zeroentropy.AsyncZeroEntropy(api_key=KEY, base_url=f"{URL}/v1") as patient:
        answer = await patient.models.rerank(model="rerank-v3.5", query=QUERY, documents=TEXTS)
    return pairs(answer.results)


@check
def unknown_model() -> Any:
    rerank(model=UNKNOWN)


@check
def bad_request() -> Any:
    rerank(documents=[])


@check
def limited() -> Any:
    rerank(client.with_options(max_retries=0), model=LIMITED)


@check
def recovers() -> Any:
    return rerank(model=once("zeroentropy"))


run()
