"""Scaleway Generative APIs rerank.

Reference: https://www.scaleway.com/en/docs/generative-apis (LiteLLM 1.109.1). Facts of 2026-11-21.
"""

from __future__ import annotations

from rerankd_adapters.base import AdapterErrorKind, Capabilities, HttpResponse, Provider
from rerankd_adapters.dialect import JsonDialect, Wire
from rerankd_adapters.failure import error_text


class ScalewayAdapter(JsonDialect):
    """Jina's dialect without an echo flag."""

    wire = Wire(always=None)

    def kind_of(self, response: HttpResponse) -> AdapterErrorKind:
        """Distinguish an unknown model, status 422 here, from an invalid request."""
        words = error_text(response).lower()
        if response.status == 422 and "model" in words and "not found" in words:
            return AdapterErrorKind.MODEL_NOT_FOUND
        return super().kind_of(response)


SCALEWAY = Provider(
    name="scaleway",
    title="Scaleway",
    adapter="rerankd_adapters.providers.scaleway:ScalewayAdapter",
    reference="https://www.scaleway.com/en/docs/generative-apis",
    checked="2026-11-21",
    base_url="https://api.scaleway.ai",
    key_variables=("SCW_SECRET_KEY", "SCALEWAY_API_KEY"),
    base_url_variables=("SCALEWAY_API_BASE",),
    capabilities=Capabilities(billing_unit="token", source="LiteLLM 1.109.1; Scaleway's list of errors"),
    quirks=(
        "The range of scores is not documented: set score_space to use thresholds.",
        "An unknown model is a 422; a 404 is an unknown route.",
    ),
    list_route="GET /v1/models",
)
