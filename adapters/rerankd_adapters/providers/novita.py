"""Novita AI rerank.

Reference: https://novita.ai/docs/api-reference/model-apis-llm-create-rerank. Facts of 2026-11-21.
"""

from __future__ import annotations

from dataclasses import replace

from rerankd_adapters.base import Capabilities, Endpoint, HttpRequest, Price, Provider, ProviderCall, ScoreSpace
from rerankd_adapters.dialect import JsonDialect, Wire


class NovitaAdapter(JsonDialect):
    """Jina's dialect with the four documented fields."""

    wire = Wire(path="/openai/v1/rerank", always=None)

    def build(self, call: ProviderCall, endpoint: Endpoint) -> HttpRequest:
        """Build the request; a base URL of the older chat routes, which do not rerank, is reduced to its host."""
        base_url = endpoint.base_url.rstrip("/").removesuffix("/v3/openai")
        return super().build(call, replace(endpoint, base_url=base_url))


_SOURCE = "novita.ai/docs; LiteLLM 1.109.1 model table"
_PRICED = {"unit": "token", "source": "LiteLLM 1.109.1 model table", "date": "2026-11-21"}

NOVITA = Provider(
    name="novita",
    title="Novita AI",
    adapter="rerankd_adapters.providers.novita:NovitaAdapter",
    reference="https://novita.ai/docs/api-reference/model-apis-llm-create-rerank",
    checked="2026-11-21",
    base_url="https://api.novita.ai",
    key_variables=("NOVITA_API_KEY",),
    base_url_variables=("NOVITA_API_BASE",),
    capabilities=Capabilities(score_space=ScoreSpace.PROBABILITY, billing_unit="token", source=_SOURCE),
    models={
        "baai/bge-reranker-v2-m3": Capabilities(max_tokens_per_document=8000, source=_SOURCE),
        "qwen/qwen3-reranker-8b": Capabilities(source=_SOURCE),
    },
    prices=(
        Price(model="baai/bge-reranker-v2-m3", usd_per_million=0.01, **_PRICED),
        Price(model="qwen/qwen3-reranker-8b", usd_per_million=0.05, **_PRICED),
    ),
    quirks=(
        "The window of bge-reranker-v2-m3 is reported as 1,000 to 8,000 tokens.",
        "That scores are probabilities is unverified; set score_space if they are not.",
    ),
    list_route="GET /openai/v1/models",
)
