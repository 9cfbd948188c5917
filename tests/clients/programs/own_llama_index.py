"""Reranks with `rerankd_client.frameworks.llama_index`: prints what came back, in JSON."""

import asyncio
import copy
import json
import sys

from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.schema import MetadataMode, NodeWithScore, TextNode
from refused_executor import RefusedExecutor

from rerankd_client import NotFound
from rerankd_client.frameworks.llama_index import RerankdRerank

given = json.loads(sys.argv[1])
events = []


class Kept(BaseEventHandler):
    def handle(self, event, **kwargs):
        events.append(event.class_name())


get_dispatcher().add_event_handler(Kept())
nodes = [
    NodeWithScore(
        node=TextNode(id_=f"id-{number}", text=text, metadata={"source": number, "title": given["titles"][number]}),
        score=0.5,
    )
    for number, text in enumerate(given["texts"])
]
options = {"address": given["address"], "model": given["model"], "top_n": given["top_n"], "api_key": "a-secret"}
reranker = RerankdRerank(metadata_mode=MetadataMode.NONE, **options)


def rows(found):
    return [[each.node.node_id, each.node.text, each.node.metadata["source"], each.score] for each in found]


async def asynchronous(used):
    asyncio.get_running_loop().set_default_executor(RefusedExecutor())
    both = await asyncio.gather(*(used.apostprocess_nodes(nodes, query_str=given["query"]) for _ in range(2)))
    return rows(both[0])


blocking = rows(reranker.postprocess_nodes(nodes, query_str=given["query"]))
only_titles = [
    NodeWithScore(node=TextNode(text="", metadata=node.node.metadata, id_=node.node.node_id)) for node in nodes
]
try:
    RerankdRerank(**{**options, "model": "no/such"}).postprocess_nodes(nodes, query_str=given["query"])
    raised = None
except NotFound as error:
    raised = error.reason
print(
    json.dumps(
        {
            "blocking": blocking,
            "asynchronous": asyncio.run(asynchronous(reranker)),
            "again": asyncio.run(asynchronous(copy.deepcopy(reranker))),
            "by_title": rows(RerankdRerank(**options).postprocess_nodes(only_titles, query_str=given["query"])),
            "nothing": rows(reranker.postprocess_nodes([], query_str=given["query"])),
            "untouched": nodes[0].score == 0.5,
            "raised": raised,
            "text": repr(reranker) + reranker.to_json(),
            "events": sorted(set(events)),
        }
    )
)
