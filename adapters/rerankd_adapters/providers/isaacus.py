"""Isaacus' legal rerankers.

Reference: https://docs.isaacus.com/api-reference/rerankings (SDK 0.22.1). Facts of 2026-11-21.
"""

from __future__ import annotations

from rerankd_adapters.base import Capabilities, Provider, ScoreSpace
from rerankd_adapters.dialect import JsonDialect, Wire
from rerankd_adapters.parameter import flag, mapping, text


class IsaacusAdapter(JsonDialect):
    """The API splits long texts into passages instead of truncating them."""

    wire = Wire(
        path="/v1/rerankings",
        documents="texts",
        always=None,
        score="score",
        prompt_tokens=(("usage", "input_tokens"),),
    )


_SOURCE = "isaacus SDK 0.22.1"

ISAACUS = Provider(
    name="isaacus",
    title="Isaacus",
    adapter="rerankd_adapters.providers.isaacus:IsaacusAdapter",
    reference="https://docs.isaacus.com/api-reference/rerankings",
    checked="2026-11-21",
    base_url="https://api.isaacus.com",
    key_variables=("ISAACUS_API_KEY",),
    base_url_variables=("ISAACUS_API_BASE", "ISAACUS_BASE_URL"),
    parameters={
        "is_iql": flag(_SOURCE),
        "scoring_method": text(_SOURCE, "auto", "chunk_max", "chunk_avg", "chunk_min"),
        "chunking_options": mapping(_SOURCE, is_nullable=True),
    },
    capabilities=Capabilities(
        score_space=ScoreSpace.PROBABILITY,
        billing_unit="token",
        source=_SOURCE,
    ),
    models={name: Capabilities(source=_SOURCE) for name in ("kanon-2-reranker", "kanon-universal-classifier")},
    quirks=(
        "Whether models are pointwise is not documented: calls are not split unless scoring is set to pointwise.",
        "A text longer than the window is scored in passages; scoring_method selects how they are combined.",
        "Rejects blank texts, and queries longer than the window.",
        "With is_iql the query is a program that may consume very many tokens: do not expose it to untrusted callers.",
    ),
)
