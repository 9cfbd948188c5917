"""Mixedbread reranking.

Reference: https://www.mixedbread.com/api-reference/endpoints/reranking (SDK 0.54.0). Facts of 2026-11-21.
"""

from __future__ import annotations

from rerankd_adapters.base import Capabilities, Price, Provider
from rerankd_adapters.dialect import JsonDialect, Wire
from rerankd_adapters.parameter import echo, flag, top_n


class MixedbreadAdapter(JsonDialect):
    """Different names for documents, limit and echo flag; the server has a default limit."""

    wire = Wire(
        path="/v1/reranking",
        documents="input",
        rank_fields="rank_fields",
        top_n="top_k",
        needs_top_n=True,
        fixed={"return_input": False},
        defaults={"rewrite_query": False},
        always=None,
        results=("data",),
        score="score",
    )


_SOURCE = "mixedbread SDK 0.54.0"

MIXEDBREAD = Provider(
    name="mixedbread",
    title="Mixedbread",
    adapter="rerankd_adapters.providers.mixedbread:MixedbreadAdapter",
    reference="https://www.mixedbread.com/api-reference/endpoints/reranking",
    checked="2026-11-21",
    aliases=("mxbai",),
    base_url="https://api.mixedbread.com",
    key_variables=("MXBAI_API_KEY", "MIXEDBREAD_API_KEY"),
    base_url_variables=("MXBAI_API_BASE", "MIXEDBREAD_BASE_URL"),
    parameters={"top_k": top_n(_SOURCE), "return_input": echo(_SOURCE), "rewrite_query": flag(_SOURCE)},
    capabilities=Capabilities(billing_unit="token", takes_objects=True, source=_SOURCE),
    models={
        f"mixedbread-ai/mxbai-rerank-{name}": Capabilities(source=_SOURCE)
        for name in ("large-v2", "base-v2", "large-v1", "base-v1", "xsmall-v1")
    },
    prices=(
        Price(
            model="mixedbread-ai/*",
            unit="token",
            usd_per_million=0.15,
            source="mixedbread.com pricing",
            date="2026-11-21",
        ),
    ),
    quirks=(
        "rewrite_query would score a rewritten query; it is sent as false unless requested.",
        "The range of scores is not documented: set score_space to use thresholds.",
    ),
)
