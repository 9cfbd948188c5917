"""Infinity, a self-hosted embedding and rerank server.

Reference: https://github.com/michaelfeil/infinity (source of infinity-emb 0.0.78). Facts of 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping

from rerankd_adapters.base import BEARER, NO_KEY, Capabilities, Provider, ScoreSpace, Scoring, Truncation
from rerankd_adapters.dialect import Wire
from rerankd_adapters.listing import ListingDialect
from rerankd_adapters.parameter import flag


class InfinityAdapter(ListingDialect):
    """Uses `/rerank`, or `/v1/rerank` on older images with prefixed routes."""

    wire = Wire(
        path="/rerank",
        old_path="/v1/rerank",
        fixed={"return_documents": False},
        defaults={"raw_scores": False},
    )

    def capabilities_of_entry(self, model: str, entry: Mapping[str, object]) -> Capabilities | None:
        """Return capabilities without limits; `None` if the model does not rerank."""
        abilities = entry.get("capabilities")
        return self.reported_capabilities() if not isinstance(abilities, list) or "rerank" in abilities else None


INFINITY = Provider(
    name="infinity",
    title="Infinity",
    adapter="rerankd_adapters.providers.infinity:InfinityAdapter",
    reference="https://github.com/michaelfeil/infinity",
    checked="2026-11-21",
    key_variables=("INFINITY_API_KEY",),
    base_url_variables=("INFINITY_API_BASE", "INFINITY_BASE_URL"),
    parameters={"raw_scores": flag("source of infinity-emb 0.0.78", raw_when=True)},
    authentication=(BEARER, NO_KEY),
    key_is_required=False,
    capabilities=Capabilities(
        scoring=Scoring.POINTWISE,
        score_space=ScoreSpace.PROBABILITY,
        max_documents=2048,
        truncation_default=Truncation.END,
        source="source of infinity-emb 0.0.78",
    ),
    quirks=(
        "A server with a single model accepts any model name.",
        "Strips leading and trailing white space of every text.",
        "Token counts are estimates unless the server was started with lengths_via_tokenize.",
    ),
    list_route="GET /models",
)
