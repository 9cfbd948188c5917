"""Prime Intellect's rerank API.

Reference: https://docs.primeintellect.ai/api-reference/inference-rerank. Facts of 2026-11-21.
"""

from __future__ import annotations

from rerankd_adapters.base import Capabilities, Price, Provider, ScoreSpace, Scoring, Truncation
from rerankd_adapters.dialect import JsonDialect, Wire


class PrimeAdapter(JsonDialect):
    """Jina's dialect with an instruction; prompts over the limit are rejected."""

    wire = Wire(
        path="/api/v1/rerank",
        option_headers={"x-prime-team-id": "team_id"},
        always=Truncation.NONE,
        instruction="instruction",
    )


_SOURCE = "docs.primeintellect.ai/api-reference/inference-rerank"

PRIME = Provider(
    name="prime",
    title="Prime Intellect",
    adapter="rerankd_adapters.providers.prime:PrimeAdapter",
    reference="https://docs.primeintellect.ai/api-reference/inference-rerank",
    checked="2026-11-21",
    aliases=("primeintellect", "prime_intellect"),
    base_url="https://api.pinference.ai",
    key_variables=("PRIME_API_KEY",),
    base_url_variables=("PRIME_API_BASE", "PRIME_INFERENCE_URL"),
    option_variables={"team_id": ("PRIME_TEAM_ID",)},
    options={"team_id": "Team that calls are charged to."},
    capabilities=Capabilities(
        score_space=ScoreSpace.PROBABILITY,
        billing_unit="token",
        max_request_bytes=16 * 1024 * 1024,
        truncation_default=Truncation.NONE,
        truncates=False,
        takes_instruction=True,
        source=_SOURCE,
    ),
    models={
        "qwen/qwen3-reranker-0.6b": Capabilities(
            scoring=Scoring.POINTWISE, max_documents=1000, max_tokens_per_document=32_768, source=_SOURCE
        )
    },
    prices=(Price(model="*", unit="token", usd_per_million=0.20, source=_SOURCE, date="2026-11-21"),),
    quirks=(
        "Sorts by logits that it does not return; many scores are exactly 1.0, and such ties are sorted by index, so "
        "that the order does not depend on how a call is split.",
        "Accepts 16 MiB per call, and adds about 70 tokens of its own to every document.",
        "Documents are always returned.",
    ),
    list_route="GET /api/v1/models",
)
