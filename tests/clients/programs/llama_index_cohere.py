"""LlamaIndex's CohereRerank."""

from __future__ import annotations

from typing import Any

from checks import KEY, LIMITED, QUERY, TEXTS, UNKNOWN, URL, by_text, check, once, run
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.postprocessor.cohere_rerank import CohereRerank


def rerank(model: str = "rerank-v3.5", top_n: int = 5, query: str = QUERY) -> dict[str, Any]:
    postprocessor = CohereRerank(api_key=KEY, base_url=URL, model=model, top_n=top_n)
    nodes = [NodeWithScore(node=TextNode(text=text)) for text in TEXTS]
    return by_text((node.node.text, node.score) for node in postprocessor.postprocess_nodes(nodes, query_str=query))


@check
def strings() -> Any:
    return rerank()


@check
def top_n() -> Any:
    return rerank(top_n=2)


@check
def unknown_model() -> Any:
    return rerank(UNKNOWN)


@check
def bad_request() -> Any:
    return rerank(top_n=-1)


@check
def limited() -> Any:
    return rerank(LIMITED)


@check
def recovers() -> Any:
    return rerank(once("llama-index"))


run()
