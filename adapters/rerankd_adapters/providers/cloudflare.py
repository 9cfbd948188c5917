"""Cloudflare Workers AI rerankers.

Reference: https://developers.cloudflare.com/workers-ai/models/bge-reranker-base. Facts of 2026-11-21.
"""

from __future__ import annotations

from urllib.parse import quote

from rerankd_adapters.base import (
    AdapterError,
    AdapterErrorKind,
    Capabilities,
    Endpoint,
    HttpRequest,
    HttpResponse,
    Provider,
    ProviderCall,
)
from rerankd_adapters.dialect import JsonDialect, Wire
from rerankd_adapters.failure import error_text
from rerankd_adapters.parameter import top_n
from rerankd_adapters.wire import path_segments

_RUN = "/ai/run"


class CloudflareAdapter(JsonDialect):
    """Account and model are part of the path; a result's id is the document's index."""

    wire = Wire(
        path=_RUN,
        model=None,
        documents="contexts",
        top_n="top_k",
        needs_top_n=True,
        always=None,
        results=("result", "response"),
        index="id",
        score="score",
        answered_model=("result", "model"),
        prompt_tokens=(("result", "usage", "prompt_tokens"), ("result", "usage", "total_tokens")),
    )

    def build(self, call: ProviderCall, endpoint: Endpoint) -> HttpRequest:
        """Build the request.

        Raises:
            AdapterError: `CREDENTIALS` when neither the options nor the base URL name an account.
        """
        named = self.options.get("account") or self.options.get("path") or "/accounts/" in endpoint.base_url
        if not named:
            message = "Cloudflare needs an account: set the option account or CLOUDFLARE_ACCOUNT_ID"
            raise AdapterError(AdapterErrorKind.CREDENTIALS, message)
        return super().build(call, endpoint)

    def path_of(self, call: ProviderCall) -> str:
        """Return the path, starting with the account if the options name one."""
        account = self.options.get("account")
        start = f"/client/v4/accounts/{quote(str(account), safe='')}" if account else ""
        return f"{start}{_RUN}/{path_segments(call.model)}"

    def documents_of(self, call: ProviderCall) -> object:
        """Return the contexts."""
        return [{"text": text} for text in call.documents]

    def kind_of(self, response: HttpResponse) -> AdapterErrorKind:
        """Distinguish an unknown model, status 400 here, from an invalid request."""
        if response.status == 400 and "No such model" in error_text(response):
            return AdapterErrorKind.MODEL_NOT_FOUND
        return super().kind_of(response)


_SOURCE = "developers.cloudflare.com/workers-ai; workers-types 2025-11"

CLOUDFLARE = Provider(
    name="cloudflare",
    title="Cloudflare Workers AI",
    adapter="rerankd_adapters.providers.cloudflare:CloudflareAdapter",
    reference="https://developers.cloudflare.com/workers-ai/models/bge-reranker-base",
    checked="2026-11-21",
    aliases=("workers-ai", "workers_ai"),
    base_url="https://api.cloudflare.com",
    key_variables=("CLOUDFLARE_API_TOKEN", "CLOUDFLARE_API_KEY"),
    base_url_variables=("CLOUDFLARE_API_BASE",),
    option_variables={"account": ("CLOUDFLARE_ACCOUNT_ID", "CF_ACCOUNT_ID")},
    parameters={"top_k": top_n(_SOURCE)},
    options={"account": "Id of the account, unless the base URL ends in /accounts/ACCOUNT/ai/run."},
    capabilities=Capabilities(source=_SOURCE),
    models={"@cf/baai/bge-reranker-base": Capabilities(source=_SOURCE)},
    quirks=(
        "Billed in neurons, 283 per million tokens of bge-reranker-base as measured by a third party.",
        "The range of scores is not documented: set score_space to use thresholds.",
        "An unknown model is a 400 with code 5007.",
        "A 429 with code 3036 means that the day's free neurons are exhausted.",
    ),
    list_route="GET /client/v4/accounts/ACCOUNT/ai/models/search",
)
