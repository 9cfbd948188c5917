"""LlamaIndex's rerankers for Jina, NVIDIA NIM and SiliconFlow, one of them by the name it is given."""

from __future__ import annotations

from typing import Any

from checks import GIVEN, KEY, LIMITED, QUERY, TEXTS, UNKNOWN, URL, by_text, check, run
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.postprocessor.jinaai_rerank import JinaRerank
from llama_index.postprocessor.nvidia_rerank import NVIDIARerank
from llama_index.postprocessor.siliconflow_rerank import SiliconFlowRerank

KIND: Any = {"jina": JinaRerank, "nvidia": NVIDIARerank, "siliconflow": SiliconFlowRerank}[GIVEN["kind"]]


def rerank(model: str = GIVEN["model"], top_n: int = 5, query: str = QUERY) -> dict[str, Any]:
    postprocessor = KIND(api_key=KEY, base_url=URL + GIVEN["path"], model=model, top_n=top_n)
    nodes = [NodeWithScore(node=TextNode(text=text)) for text in TEXTS]
    return by_text((node.node.text, node.score) for node in postprocessor.postprocess_nodes(nodes, query_str=query))


@check
def top_n() -> Any:
    return rerank(top_n=2)


@check
def unknown_model() -> Any:
    rerank(UNKNOWN)


@check
def bad_request() -> Any:
    rerank(query="")


if KIND is NVIDIARerank:

    @check
    def logits() -> Any:
        return rerank()
else:

    @check
    def strings() -> Any:
        return rerank()

    @check
    def limited() -> Any:
        rerank(LIMITED)


run()
