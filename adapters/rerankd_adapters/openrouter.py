"""OpenRouter's rerank router.

Reference: https://openrouter.ai/docs/api/api-reference/rerank/create-rerank (SDK 1.3.84). Facts of 2026-11-21.
"""

from __future__ import annotations

from rerankd_adapters.base import Capabilities, Provider
from rerankd_adapters.dialect import Wire
from rerankd_adapters.listing import ListingDialect
from rerankd_adapters.models import IMAGE_MODELS


class OpenRouterAdapter(ListingDialect):
    """Jina's dialect without an echo flag; reports search units, tokens and cost."""

    wire = Wire(
        path="/api/v1/rerank",
        takes_images=True,
        always=None,
        options=frozenset({"provider", "session_id", "trace", "user"}),
        prompt_tokens=(("usage", "total_tokens"),),
        search_units=(("usage", "search_units"),),
        cost_usd=("usage", "cost"),
    )


OPENROUTER = Provider(
    name="openrouter",
    title="OpenRouter",
    adapter="rerankd_adapters.openrouter:OpenRouterAdapter",
    reference="https://openrouter.ai/docs/api/api-reference/rerank/create-rerank",
    checked="2026-11-21",
    base_url="https://openrouter.ai",
    key_variables=("OPENROUTER_API_KEY", "OR_API_KEY"),
    base_url_variables=("OPENROUTER_API_BASE",),
    capabilities=Capabilities(source="openrouter SDK 1.3.84"),
    rules=IMAGE_MODELS,
    may_reroute=True,
    quirks=(
        "The routed provider may change between two calls, so calls are not split unless declared pointwise.",
        "Reports the cost of a call, in credits of one US dollar.",
        "Documents are always returned.",
        "Its list of models includes rerankers only with output_modalities=rerank.",
        "Set the headers HTTP-Referer and X-OpenRouter-Title on the deployment to appear in its rankings.",
    ),
    list_route="GET /api/v1/models?output_modalities=rerank",
)
