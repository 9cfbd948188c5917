"""Azure AI: Cohere's rerankers on Foundry and on serverless endpoints.

Reference: https://learn.microsoft.com/azure/ai-foundry/how-to/deploy-models-cohere-rerank (Microsoft's sample
repository, LiteLLM 1.109.1). Facts of 2026-11-21.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from rerankd_adapters.base import (
    BEARER,
    AdapterError,
    AdapterErrorKind,
    Authentication,
    Capabilities,
    Endpoint,
    HttpRequest,
    HttpResponse,
    ModelRule,
    Price,
    Provider,
    ProviderCall,
    Scheme,
    ScoreSpace,
    Scoring,
    Truncation,
    header_key,
)
from rerankd_adapters.providers.cohere import PARAMETERS, V1, V2, CohereAdapter
from rerankd_adapters.wire import at, join_url, post_json, read_json

FOUNDRY_PATH: Final = "/providers/cohere/v2/rerank"
SERVERLESS_PATH: Final = "/v1/rerank"
_FOUNDRY: Final = re.compile(r"https?://[^/?]+\.services\.ai\.azure\.com(?::\d+)?/?(?:models/?)?")
"""A bare Foundry resource, or its `/models` route, which answers every rerank with 500."""
_NO_SUCH_MODEL: Final = ("unavailable_model", "unknown_model")


class AzureAiAdapter(CohereAdapter):
    """Cohere v2 or v1 API, selected by the URL; the model is an Azure deployment name."""

    def build(self, call: ProviderCall, endpoint: Endpoint) -> HttpRequest:
        """Build the request in the dialect of the URL."""
        url = rerank_url(endpoint.base_url, str(self.options.get("path") or ""))
        self.wire = V1 if "/v1/" in urlsplit(url).path else V2
        return post_json(replace(endpoint, base_url=url), "", self.body_of(call))

    def kind_of(self, response: HttpResponse) -> AdapterErrorKind:
        """Classify an error; only its code distinguishes a model that is not deployed."""
        if error_code(response) in _NO_SUCH_MODEL:
            return AdapterErrorKind.MODEL_NOT_FOUND
        return super().kind_of(response)


def rerank_url(base_url: str, path: str = "") -> str:
    """Return the rerank URL for any of the URLs that Azure displays.

    Args:
        base_url: URL of a resource, of a version below it, or of the rerank route itself.
        path: Path to use instead of the default.
    """
    base_path = urlsplit(base_url).path.rstrip("/")
    if path or base_path.endswith("/rerank"):
        return join_url(base_url, path)
    if _FOUNDRY.fullmatch(base_url):
        return join_url(base_url.rstrip("/").removesuffix("/models"), FOUNDRY_PATH)
    if base_path.endswith("/providers/cohere"):
        return join_url(base_url, FOUNDRY_PATH)
    return join_url(base_url, "/v2/rerank" if base_path.endswith("/v2") else SERVERLESS_PATH)


def error_code(response: HttpResponse) -> str:
    """Return the code in either envelope: `{error: {code, message}}`, or `{code, message}`."""
    try:
        body = read_json(response)
    except AdapterError:
        return ""
    code = at(body, ("error", "code")) or at(body, ("code",))
    return code.lower() if isinstance(code, str) else ""


_SOURCE = "Microsoft's sample repository; docs.cohere.com; LiteLLM 1.109.1"
_PRICED = {"unit": "search_unit", "source": "LiteLLM 1.109.1", "date": "2026-11-21"}
_LONG = Capabilities(max_tokens_per_document=32_768, source=_SOURCE)
_SHORT = Capabilities(max_tokens_per_document=4096, source=_SOURCE)

AZURE_AI = Provider(
    name="azure_ai",
    usage_units=("token", "search_unit"),
    title="Azure AI",
    adapter="rerankd_adapters.providers.azure_ai:AzureAiAdapter",
    reference="https://learn.microsoft.com/azure/ai-foundry/how-to/deploy-models-cohere-rerank",
    checked="2026-11-21",
    aliases=("azure",),
    key_variables=("AZURE_AI_API_KEY",),
    base_url_variables=("AZURE_AI_API_BASE",),
    option_variables={
        "tenant_id": ("AZURE_TENANT_ID",),
        "client_id": ("AZURE_CLIENT_ID",),
        "client_secret": ("AZURE_CLIENT_SECRET",),
    },
    options={
        "path": "Path below the base URL, in place of the default for that base URL.",
        "authentication": '"bearer" (default with a key), "api-key" or "entra".',
        "tenant_id": "Entra tenant; used with client_id and client_secret instead of a key.",
        "client_id": "Entra application.",
        "client_secret": "Secret of the Entra application.",
        "token_url": "Token endpoint of Entra, for national clouds.",
    },
    parameters=PARAMETERS,
    authentication=(
        BEARER,
        header_key("api-key"),
        Authentication(scheme=Scheme.ENTRA, scope="https://cognitiveservices.azure.com/.default"),
    ),
    key_is_required=False,
    capabilities=Capabilities(
        scoring=Scoring.POINTWISE,
        score_space=ScoreSpace.PROBABILITY,
        max_documents=1000,
        billing_unit="search_unit",
        truncation_default=Truncation.END,
        source=_SOURCE,
    ),
    models={
        "Cohere-rerank-v4.0-pro": _LONG,
        "Cohere-rerank-v4.0-fast": _LONG,
        "Cohere-rerank-v3.5": _SHORT,
    },
    rules=(ModelRule("*rerank-v4*", _LONG), ModelRule("*rerank-v3*", _SHORT)),
    prices=(
        Price(model="*rerank-v4.0-pro*", usd_per_million=2500, **_PRICED),
        Price(model="*rerank-v4.0-fast*", usd_per_million=2000, **_PRICED),
    ),
    quirks=(
        "The model is the name of the deployment.",
        "A services.ai.azure.com base URL without a path uses /providers/cohere/v2/rerank, any other /v1/rerank.",
        "A base URL that ends in /v1, /v2 or /rerank selects the version of Cohere's API.",
        "Whether a bearer key, an api-key header or an Entra token is accepted depends on the endpoint.",
        "Cohere's v3 models were retired on 2025-06-30; v4.0 models retire on 2027-09-13.",
        "Models cannot be listed.",
    ),
)
