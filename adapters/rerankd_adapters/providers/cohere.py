"""Cohere Rerank, v2 (the default) and v1.

Reference: https://docs.cohere.com/reference/rerank (cohere SDK 7.3.1). Facts of 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

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
from rerankd_adapters.chat_api import CHAT_OPTIONS
from rerankd_adapters.dialect import JsonDialect, Wire
from rerankd_adapters.parameter import NO_PARAMETERS, Parameter, Parameters, mapping
from rerankd_adapters.providers.cohere_chat import COHERE_CHAT

V2 = Wire(
    path="/v2/rerank",
    max_tokens_per_doc="max_tokens_per_doc",
    priority="priority",
    prompt_tokens=(("meta", "billed_units", "input_tokens"), ("meta", "tokens", "input_tokens")),
    completion_tokens=(("meta", "billed_units", "output_tokens"),),
)
V1 = replace(
    V2,
    path="/v1/rerank",
    rank_fields="rank_fields",
    fields_are_text=True,
    fixed={"return_documents": False},
    max_tokens_per_doc=None,
    max_passages_per_doc="max_chunks_per_doc",
    priority=None,
)


PARAMETERS: Final[Mapping[str, Parameter]] = {"relevant_spans": mapping("cohere SDK 7.3.1, Rerank v5 and later")}
"""Of v2; v1 has none."""


class CohereAdapter(JsonDialect):
    """Option `api_version`: "2" (default) or "1"."""

    wire = V2

    def __init__(self, provider: Provider, options: Mapping[str, object] | None = None) -> None:
        super().__init__(provider, options)
        if str(self.options.get("api_version", "2")).removeprefix("v") == "1":
            self.wire = V1

    def build(self, call: ProviderCall, endpoint: Endpoint) -> HttpRequest:
        """Build the request; a base URL that is the v1 route selects v1."""
        url = endpoint.base_url
        if V1.path in url and "api_version" not in self.options and urlsplit(url).path.rstrip("/").endswith(V1.path):
            self.wire = V1
        return super().build(call, endpoint)

    def parameters(self, model: str) -> Parameters:
        """Return the own parameters that `model` has."""
        return NO_PARAMETERS if self.wire is V1 else super().parameters(model)

    def body_of(self, call: ProviderCall) -> dict[str, object]:
        """Return the JSON object; v1 always sends `max_chunks_per_doc`, since sources disagree on its default."""
        body = super().body_of(call)
        if self.wire.max_passages_per_doc:
            body[self.wire.max_passages_per_doc] = call.max_passages_per_doc
        return body


_SOURCE = "docs.cohere.com/reference/rerank, 2026-11-21"
_LONG = Capabilities(max_tokens_per_document=32_768, source=_SOURCE)
_V5 = replace(_LONG, billing_unit="token")
_SHORT = Capabilities(max_tokens_per_document=4096, source=_SOURCE)
_PRICED = {"source": "cohere.com/pricing through LiteLLM 1.109.1", "date": "2026-11-21"}

COHERE = Provider(
    name="cohere",
    usage_units=("token", "search_unit"),
    title="Cohere",
    adapter="rerankd_adapters.providers.cohere:CohereAdapter",
    reference="https://docs.cohere.com/reference/rerank",
    checked="2026-11-21",
    base_url="https://api.cohere.com",
    key_variables=("COHERE_API_KEY", "CO_API_KEY"),
    base_url_variables=("COHERE_API_BASE", "CO_API_URL"),
    options={**CHAT_OPTIONS, "api_version": '"2" (default) or "1".'},
    parameters=PARAMETERS,
    capabilities=Capabilities(
        scoring=Scoring.POINTWISE,
        score_space=ScoreSpace.PROBABILITY,
        max_documents=1000,
        billing_unit="search_unit",
        truncation_default=Truncation.END,
        source=_SOURCE,
    ),
    models={
        "rerank-v5.0-pro": _V5,
        "rerank-v5.0-fast": _V5,
        "rerank-v4.0-pro": _LONG,
        "rerank-v4.0-fast": _LONG,
        "rerank-v3.5": _SHORT,
        "rerank-english-v3.0": _SHORT,
        "rerank-multilingual-v3.0": _SHORT,
    },
    prices=(
        Price(model="rerank-v5.0-pro", unit="token", usd_per_million=0.05, **_PRICED),
        Price(model="rerank-v5.0-fast", unit="token", usd_per_million=0.02, **_PRICED),
        Price(model="rerank-v4.0-pro", unit="search_unit", usd_per_million=2500, **_PRICED),
        Price(model="rerank-*", unit="search_unit", usd_per_million=2000, **_PRICED),
    ),
    chat=COHERE_CHAT,
    quirks=(
        "The API accepts 10,000 documents and recommends 1,000; larger requests are split into chunks of 1,000.",
        "A 429 carries no Retry-After.",
        "v5 models are billed by tokens and report no search units.",
    ),
    list_route="GET /v1/models?endpoint=rerank",
)
