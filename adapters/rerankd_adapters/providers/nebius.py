"""Nebius Token Factory rerank.

Reference: https://docs.tokenfactory.nebius.com/api-reference (OpenAPI document of 2026-05). Facts of 2026-11-21.
"""

from __future__ import annotations

from urllib.parse import quote

from rerankd_adapters.base import Capabilities, Provider, ProviderCall, ScoreSpace
from rerankd_adapters.dialect import JsonDialect, Wire
from rerankd_adapters.parameter import text


class NebiusAdapter(JsonDialect):
    """vLLM's response format without its parameters; results cannot be limited."""

    wire = Wire(top_n=None, always=None)

    def path_of(self, call: ProviderCall) -> str:
        """Return the path, with the billed project."""
        project = self.options.get("ai_project_id")
        path = super().path_of(call)
        return f"{path}?ai_project_id={quote(str(project), safe='')}" if project else path


_SOURCE = "OpenAPI document of Nebius Token Factory, 2026-05"

NEBIUS = Provider(
    name="nebius",
    title="Nebius Token Factory",
    adapter="rerankd_adapters.providers.nebius:NebiusAdapter",
    reference="https://docs.tokenfactory.nebius.com/api-reference",
    checked="2026-11-21",
    base_url="https://api.tokenfactory.nebius.com",
    key_variables=("NEBIUS_API_KEY",),
    base_url_variables=("NEBIUS_API_BASE",),
    options={"ai_project_id": "Project that calls are attributed to."},
    parameters={
        "service_tier": text(_SOURCE, "auto", "default", "over-limit", "flex", "no-limit"),
        "user": text(_SOURCE),
    },
    capabilities=Capabilities(
        score_space=ScoreSpace.PROBABILITY,
        billing_unit="token",
        source=_SOURCE,
    ),
    quirks=("Has no top_n and always returns the documents; results are cut by rerankd.",),
    list_route="GET /v1/models",
)
