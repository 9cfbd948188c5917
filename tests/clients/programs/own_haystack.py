"""Reranks with `rerankd_client.frameworks.haystack`: prints what came back, in JSON."""

import asyncio
import json
import sys

from haystack import Document, Pipeline
from haystack.utils import Secret
from refused_executor import RefusedExecutor

from rerankd_client import NotFound
from rerankd_client.frameworks.haystack import RerankdRanker

given = json.loads(sys.argv[1])
documents = [
    Document(id=f"id-{number}", content=text, score=0.5, meta={"source": number, "title": given["titles"][number]})
    for number, text in enumerate(given["texts"])
]
options = {"address": given["address"], "model": given["model"], "top_k": given["top_n"]}
key = Secret.from_env_var("RERANKD_KEY_OF_TEST")
data = {"ranker": {"query": given["query"], "documents": documents}}


def rows(found):
    return [[each.id, each.content, each.meta["source"], each.score] for each in found["ranker"]["documents"]]


def pipeline(ranker):
    made = Pipeline()
    made.add_component("ranker", ranker)
    return made


async def asynchronous(used):
    asyncio.get_running_loop().set_default_executor(RefusedExecutor())
    return rows(await used.run_async(data))


stored = pipeline(RerankdRanker(api_key=key, **options))
loaded = Pipeline.loads(stored.dumps(), allowed_modules=["rerankd_client.frameworks.haystack"])
only_titles = [Document(id=each.id, content="", meta=each.meta) for each in documents]
titles = RerankdRanker(meta_fields_to_embed=["title"], **options)
ranker = RerankdRanker(api_key=key, **options)
try:
    RerankdRanker(address=given["address"], model="no/such").run(given["query"], documents)
    raised = None
except NotFound as error:
    raised = error.reason
print(
    json.dumps(
        {
            "blocking": rows(loaded.run(data)),
            "asynchronous": asyncio.run(asynchronous(pipeline(ranker))),
            "again": asyncio.run(asynchronous(loaded)),
            "by_title": rows({"ranker": titles.run(given["query"], only_titles)}),
            "nothing": rows({"ranker": ranker.run(given["query"], [])}),
            "untouched": documents[0].score == 0.5,
            "raised": raised,
            "text": stored.dumps(),
        }
    )
)
