"""LlamaIndex's TextEmbeddingInference reranker."""

from __future__ import annotations

from typing import Any

from checks import KEY, QUERY, TEXTS, URL, by_text, check, run
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.postprocessor.tei_rerank import TextEmbeddingInference


def rerank(top_n: int = 5, query: str = QUERY, token: str = KEY) -> dict[str, Any]:
    postprocessor = TextEmbeddingInference(base_url=URL, top_n=top_n, auth_token=token)
    nodes = [NodeWithScore(node=TextNode(text=text)) for text in TEXTS]
    return by_text((node.node.text, node.score) for node in postprocessor.postprocess_nodes(nodes, query_str=query))


@check
def strings() -> Any:
    return rerank()


@check
def bearer() -> Any:
    return rerank(token=f"Bearer {KEY}")


@check
def top_n() -> Any:
    return rerank(2)


@check
def bad_request() -> Any:
    return rerank(query="")


run()
