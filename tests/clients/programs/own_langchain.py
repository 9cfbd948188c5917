"""Reranks with `rerankd_client.frameworks.langchain`: prints what came back, in JSON."""

import asyncio
import copy
import json
import sys

from langchain_core.documents import Document
from refused_executor import RefusedExecutor

from rerankd_client import NotFound
from rerankd_client.frameworks.langchain import RerankdCompressor

given = json.loads(sys.argv[1])
documents = [
    Document(id=f"id-{number}", page_content=text, metadata={"source": number, "title": given["titles"][number]})
    for number, text in enumerate(given["texts"])
]
compressor = RerankdCompressor(address=given["address"], model=given["model"], top_n=given["top_n"], api_key="a-secret")


def rows(found):
    return [
        [document.id, document.page_content, document.metadata["source"], document.metadata["relevance_score"]]
        for document in found
    ]


async def asynchronous(used):
    asyncio.get_running_loop().set_default_executor(RefusedExecutor())
    both = await asyncio.gather(*(used.acompress_documents(documents, given["query"]) for _ in range(2)))
    return rows(both[0])


blocking = rows(compressor.compress_documents(documents, given["query"]))
by_title = compressor.model_copy(update={"rank_fields": ["title"]})
by_title.model_post_init(None)
try:
    RerankdCompressor(address=given["address"], model="no/such").compress_documents(documents, given["query"])
    raised = None
except NotFound as error:
    raised = error.reason
print(
    json.dumps(
        {
            "blocking": blocking,
            "asynchronous": asyncio.run(asynchronous(compressor)),
            "again": asyncio.run(asynchronous(copy.deepcopy(compressor))),
            "by_title": rows(by_title.compress_documents(documents, given["query"])),
            "nothing": rows(compressor.compress_documents([], given["query"])),
            "untouched": "relevance_score" not in documents[0].metadata,
            "raised": raised,
            "text": repr(compressor),
        }
    )
)
