"""Fireworks AI rerank.

Reference: https://docs.fireworks.ai/api-reference/rerank-documents. Facts of 2026-11-21.
"""

from __future__ import annotations

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
from rerankd_adapters.parameter import text
from rerankd_adapters.wire import post_json

_NAMESPACE = "accounts/fireworks/models/"


class FireworksAdapter(JsonDialect):
    """Sends documented fields only, because the API rejects unknown ones."""

    wire = Wire(
        path="/inference/v1/rerank",
        fixed={"return_documents": False},
        instruction="task",
        results=("data",),
    )

    def build(self, call: ProviderCall, endpoint: Endpoint) -> HttpRequest:
        """Build the request; a base URL that ends in a version is that of the API."""
        if endpoint.base_url.rstrip("/").endswith("/v1") and "path" not in self.options:
            return post_json(endpoint, "/rerank", self.body_of(call))
        return super().build(call, endpoint)

    def body_of(self, call: ProviderCall) -> dict[str, object]:
        """Return the JSON object; a short model name is expanded to Fireworks' namespace."""
        body = super().body_of(call)
        if "/" not in call.model:
            body["model"] = _NAMESPACE + call.model
        return body


_SOURCE = "docs.fireworks.ai/api-reference/rerank-documents, 2026-11-21"

FIREWORKS = Provider(
    name="fireworks",
    title="Fireworks AI",
    adapter="rerankd_adapters.providers.fireworks:FireworksAdapter",
    reference="https://docs.fireworks.ai/api-reference/rerank-documents",
    checked="2026-11-21",
    aliases=("fireworks_ai", "fireworks-ai"),
    base_url="https://api.fireworks.ai",
    key_variables=("FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY", "FIREWORKSAI_API_KEY", "FIREWORKS_AI_TOKEN"),
    base_url_variables=("FIREWORKS_API_BASE", "FIREWORKS_AI_API_BASE"),
    parameters={"task": text(_SOURCE, is_nullable=True)},
    capabilities=Capabilities(
        scoring=Scoring.POINTWISE,
        score_space=ScoreSpace.PROBABILITY,
        max_tokens_per_document=40_960,
        billing_unit="token",
        truncation_default=Truncation.END,
        takes_instruction=True,
        source=_SOURCE,
    ),
    models={f"{_NAMESPACE}qwen3-reranker-{size}": Capabilities(source=_SOURCE) for size in ("8b", "4b", "0p6b")},
    prices=(
        Price(
            model="*qwen3-reranker-8b",
            unit="token",
            usd_per_million=0.20,
            source="LiteLLM 1.109.1",
            date="2026-11-21",
        ),
    ),
    quirks=("A model name without a slash is prefixed with accounts/fireworks/models/.",),
    list_route="GET /inference/v1/models",
)
