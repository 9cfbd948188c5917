"""LocalAI's rerank route.

Reference: https://localai.io/features/reranker (source). Facts of 2026-11-21.
"""

from __future__ import annotations

from rerankd_adapters.base import BEARER, NO_KEY, Capabilities, Provider
from rerankd_adapters.dialect import JsonDialect, Wire


class LocalAiAdapter(JsonDialect):
    """Jina's dialect without an echo flag."""

    wire = Wire(always=None)


LOCALAI = Provider(
    name="localai",
    title="LocalAI",
    adapter="rerankd_adapters.providers.localai:LocalAiAdapter",
    reference="https://localai.io/features/reranker",
    checked="2026-11-21",
    aliases=("local_ai", "local-ai"),
    key_variables=("LOCALAI_API_KEY",),
    base_url_variables=("LOCALAI_API_BASE", "LOCALAI_BASE_URL"),
    authentication=(BEARER, NO_KEY),
    key_is_required=False,
    capabilities=Capabilities(source="source of LocalAI"),
    quirks=(
        "Scoring and score space depend on the model's backend; set scoring and score_space.",
        "Documents are always returned.",
    ),
    list_route="GET /v1/models",
)
