"""LiteLLM, by the name of each provider that its first argument gives."""

from __future__ import annotations

from typing import Any

import litellm
from checks import GIVEN, KEY, LIMITED, QUERY, RERANKER, TEXTS, UNKNOWN, URL, check, run

PROVIDER: str = GIVEN["provider"]
BASE: str = URL + GIVEN["path"]
MODEL = f"{PROVIDER}/{GIVEN['model']}"
litellm.suppress_debug_info = True


def read(answer: Any) -> dict[str, Any]:
    scored = [[result["index"], result["relevance_score"]] for result in answer.results]
    given_back = [result.get("document", {}).get("text") for result in answer.results]
    return {"pairs": scored, "documents": given_back if any(given_back) else None, "id": answer.id}


def call(model: str = MODEL, **arguments: Any) -> Any:
    given = {"query": QUERY, "documents": TEXTS, "api_base": BASE, "api_key": KEY, **arguments}
    return litellm.rerank(model=model, **given)


@check
def strings() -> Any:
    return read(call(return_documents=False))


@check
def top_n() -> Any:
    return read(call(top_n=2, return_documents=False))


@check
def documents() -> Any:
    return read(call(return_documents=True))


@check
async def asynchronous() -> Any:
    return read(
        await litellm.arerank(
            model=MODEL, query=QUERY, documents=TEXTS, api_base=BASE, api_key=KEY, return_documents=False
        )
    )


if GIVEN["takes_model"]:

    @check
    def reranker() -> Any:
        return read(call(f"{PROVIDER}/{RERANKER}", return_documents=False))

    @check
    def unknown_model() -> Any:
        call(f"{PROVIDER}/{UNKNOWN}")

    @check
    def limited() -> Any:
        call(f"{PROVIDER}/{LIMITED}", max_retries=0)


@check
def bad_request() -> Any:
    call(query="")


run()
