"""Opper's rerank gateway.

Reference: https://docs.opper.ai/build/gateway/rerank. Facts of 2026-11-21.
"""

from __future__ import annotations

from rerankd_adapters.base import Capabilities, Provider
from rerankd_adapters.dialect import JsonDialect, Wire


class OpperAdapter(JsonDialect):
    """Jina's dialect below /v3."""

    wire = Wire(
        path="/v3/rerank",
        fixed={"return_documents": False},
        always=None,
        prompt_tokens=(("usage", "total_tokens"),),
    )


OPPER = Provider(
    name="opper",
    title="Opper",
    adapter="rerankd_adapters.providers.opper:OpperAdapter",
    reference="https://docs.opper.ai/build/gateway/rerank",
    checked="2026-11-21",
    aliases=("opper_ai",),
    base_url="https://api.opper.ai",
    key_variables=("OPPER_API_KEY",),
    base_url_variables=("OPPER_API_BASE", "OPPER_BASE_URL"),
    capabilities=Capabilities(max_documents=1000, billing_unit="token", source="docs.opper.ai/build/gateway/rerank"),
    may_reroute=True,
    pinned_models="*/*",
    quirks=(
        "A bare model name may be answered by another endpoint when one fails, so calls of it are not split; "
        "name an endpoint, as in berget/MODEL, to pin it.",
        "A count of 0 tokens means that the endpoint does not report it.",
        "Reranking needs a paid plan; without one it returns 402.",
    ),
    list_route="GET /v3/models?type=rerank",
)
