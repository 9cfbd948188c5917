"""Voyage AI rerank, on Voyage's own host and MongoDB's.

Reference: https://docs.voyageai.com/reference/reranker-api (voyageai SDK 0.5.0). Facts of 2026-11-21.
"""

from __future__ import annotations

from dataclasses import replace

from rerankd_adapters.base import (
    Capabilities,
    Endpoint,
    HttpRequest,
    Price,
    Provider,
    ProviderCall,
    ScoreSpace,
    Scoring,
    Truncation,
)
from rerankd_adapters.dialect import JsonDialect, Wire
from rerankd_adapters.parameter import top_n

VOYAGE_URL = "https://api.voyageai.com"
MONGODB_URL = "https://ai.mongodb.com"


class VoyageAdapter(JsonDialect):
    """Uses MongoDB's host for keys issued by MongoDB."""

    wire = Wire(
        top_n="top_k",
        fixed={"return_documents": False},
        truncation={Truncation.END: {"truncation": True}, Truncation.NONE: {"truncation": False}},
        results=("data",),
    )

    def build(self, call: ProviderCall, endpoint: Endpoint) -> HttpRequest:
        """Build the request; keys with prefix `al-` are valid on MongoDB's host only."""
        if endpoint.api_key.startswith("al-") and endpoint.base_url.rstrip("/") in (
            VOYAGE_URL,
            f"{VOYAGE_URL}/v1",
        ):
            endpoint = replace(endpoint, base_url=MONGODB_URL)
        return super().build(call, endpoint)


_SOURCE = "docs.voyageai.com/docs/reranker, 2026-11-21"
_LATEST = Capabilities(max_tokens_per_document=32_000, max_total_tokens=600_000, takes_instruction=True, source=_SOURCE)
_PRICED = {"source": "docs.voyageai.com/docs/pricing through LiteLLM 1.109.1", "date": "2026-11-21"}

VOYAGE = Provider(
    name="voyage",
    title="Voyage AI",
    adapter="rerankd_adapters.providers.voyage:VoyageAdapter",
    reference="https://docs.voyageai.com/reference/reranker-api",
    checked="2026-11-21",
    aliases=("voyageai", "voyage_ai"),
    base_url=VOYAGE_URL,
    key_variables=("VOYAGE_API_KEY", "VOYAGE_AI_API_KEY"),
    base_url_variables=("VOYAGE_API_BASE",),
    parameters={"top_k": top_n("docs.voyageai.com/reference/reranker-api")},
    capabilities=Capabilities(
        scoring=Scoring.POINTWISE,
        score_space=ScoreSpace.PROBABILITY,
        max_documents=1000,
        max_total_tokens=300_000,
        billing_unit="token",
        truncation_default=Truncation.END,
        source=_SOURCE,
    ),
    models={
        "rerank-3": _LATEST,
        "rerank-3-lite": _LATEST,
        "rerank-2.5": _LATEST,
        "rerank-2.5-lite": _LATEST,
        "rerank-2": Capabilities(max_tokens_per_document=16_000, max_total_tokens=600_000, source=_SOURCE),
        "rerank-2-lite": Capabilities(max_tokens_per_document=8000, max_total_tokens=600_000, source=_SOURCE),
        "rerank-1": Capabilities(max_tokens_per_document=8000, source=_SOURCE),
        "rerank-lite-1": Capabilities(max_tokens_per_document=4000, source=_SOURCE),
    },
    prices=(
        Price(model="rerank-*lite*", unit="token", usd_per_million=0.02, **_PRICED),
        Price(model="rerank-*", unit="token", usd_per_million=0.05, **_PRICED),
    ),
    quirks=(
        "Keys starting with al- are MongoDB's and go to ai.mongodb.com.",
        "The query's tokens count once per document, in the token limit and in billing.",
        "For the 2.5 family and later the instruction is put before the query, as Voyage documents.",
    ),
)
