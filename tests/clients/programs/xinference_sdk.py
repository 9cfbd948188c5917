"""Xinference's client."""

from __future__ import annotations

from typing import Any

from checks import KEY, QUERY, TEXTS, UNKNOWN, URL, check, pairs, run
from xinference_client import RESTfulClient

client = RESTfulClient(URL, api_key=KEY)
handle = client.get_model("bge-reranker-v2-m3")


@check
def strings() -> Any:
    return pairs(handle.rerank(TEXTS, QUERY)["results"])


@check
def top_n() -> Any:
    return pairs(handle.rerank(TEXTS, QUERY, top_n=2)["results"])


@check
def documents() -> Any:
    results = handle.rerank(TEXTS, QUERY, return_documents=True)["results"]
    return {**pairs(results), "documents": [result["document"]["text"] for result in results]}


@check
def unknown_model() -> Any:
    client.get_model(UNKNOWN)


@check
def bad_request() -> Any:
    handle.rerank([], QUERY)


run()
