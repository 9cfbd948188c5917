"""Xinference's rerank route.

Reference: https://inference.readthedocs.io/en/latest/models/model_abilities/rerank.html (source of 4.1.0). Facts
of 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from rerankd_adapters.base import (
    BEARER,
    NO_KEY,
    AdapterErrorKind,
    Capabilities,
    HttpResponse,
    Provider,
    ProviderCall,
)
from rerankd_adapters.dialect import Wire
from rerankd_adapters.failure import error_text
from rerankd_adapters.listing import ListingDialect
from rerankd_adapters.parameter import Kind, Parameter, flag


class XinferenceAdapter(ListingDialect):
    """Cohere-like API; model-specific parameters are sent as a JSON string."""

    wire = Wire(
        fixed={"return_documents": False},
        always=None,
        max_passages_per_doc="max_chunks_per_doc",
        prompt_tokens=(("meta", "tokens", "input_tokens"), ("meta", "billed_units", "input_tokens")),
        completion_tokens=(("meta", "tokens", "output_tokens"),),
    )

    def body_of(self, call: ProviderCall) -> dict[str, object]:
        """Return the JSON object."""
        body = super().body_of(call)
        if isinstance(body.get("kwargs"), dict):
            body["kwargs"] = msgspec.json.encode(body["kwargs"]).decode()
        return body

    def kind_of(self, response: HttpResponse) -> AdapterErrorKind:
        """Distinguish a model that is not launched, status 400 here, from an invalid request."""
        if response.status == 400 and "model not found" in error_text(response).lower():
            return AdapterErrorKind.MODEL_NOT_FOUND
        return super().kind_of(response)

    def capabilities_of_entry(self, model: str, entry: Mapping[str, object]) -> Capabilities | None:
        """Return capabilities without limits; `None` if the model is not launched as a reranker."""
        return self.reported_capabilities() if entry.get("model_type") == "rerank" else None


_SOURCE = "source of xinference 4.1.0"

XINFERENCE = Provider(
    name="xinference",
    title="Xinference",
    adapter="rerankd_adapters.providers.xinference:XinferenceAdapter",
    reference="https://inference.readthedocs.io/en/latest/models/model_abilities/rerank.html",
    checked="2026-11-21",
    aliases=("xorbitsai",),
    key_variables=("XINFERENCE_API_KEY",),
    base_url_variables=("XINFERENCE_API_BASE", "XINFERENCE_ENDPOINT"),
    parameters={
        "kwargs": Parameter(kinds=(Kind.OBJECT, Kind.STRING), source=_SOURCE),
        "return_len": flag(_SOURCE),
    },
    authentication=(BEARER, NO_KEY),
    key_is_required=False,
    capabilities=Capabilities(source=_SOURCE),
    quirks=(
        "The model is the uid it was launched with; models with custom uids have unknown capabilities.",
        "jina-reranker-v3.5 is listwise; its calls are never split.",
        "A model that is not launched is a 400.",
    ),
    list_route="GET /v1/models",
)
