"""A LiteLLM proxy as a provider.

Reference: https://docs.litellm.ai/docs/rerank (source of litellm 1.109.1). Facts of 2026-11-21.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from msgspec import structs

from rerankd_adapters.base import (
    BEARER,
    NO_KEY,
    AdapterError,
    AdapterErrorKind,
    Capabilities,
    HttpResponse,
    Provider,
    ProviderCall,
    ProviderReply,
)
from rerankd_adapters.chat_api import CHAT_OPTIONS, ChatApi, ChatTraits
from rerankd_adapters.dialect import Wire
from rerankd_adapters.failure import error_text
from rerankd_adapters.listing import ListingDialect
from rerankd_adapters.providers.openai import MODEL_READINGS
from rerankd_adapters.wire import at, read_json


class LitellmProxyAdapter(ListingDialect):
    """Accepts any option, as the proxy does."""

    wire = Wire(
        old_path="/rerank",
        rank_fields="rank_fields",
        fixed={"return_documents": False},
        always=None,
        max_tokens_per_doc="max_tokens_per_doc",
        max_passages_per_doc="max_chunks_per_doc",
        instruction="instruction",
        prompt_tokens=(
            ("meta", "billed_units", "input_tokens"),
            ("meta", "tokens", "input_tokens"),
            ("meta", "billed_units", "total_tokens"),
        ),
        completion_tokens=(("meta", "billed_units", "output_tokens"), ("meta", "tokens", "output_tokens")),
    )

    name_key = "model_name"

    def capabilities_of_entry(self, model: str, entry: Mapping[str, object]) -> Capabilities | None:
        """Return capabilities without limits; `None` if the model's mode is not rerank."""
        return self.reported_capabilities() if at(entry, ("model_info", "mode")) == "rerank" else None

    def cost_usd_of(self, body: object, response: HttpResponse) -> float | None:
        """Return the cost that the proxy computes."""
        try:
            cost = float(response.headers.get("x-litellm-response-cost", ""))
        except ValueError:
            return None
        return cost if math.isfinite(cost) and cost >= 0 else None

    def parse(self, call: ProviderCall, response: HttpResponse) -> ProviderReply:
        """Parse the response; warn if another model answered."""
        reply = super().parse(call, response)
        fallbacks = response.headers.get("x-litellm-attempted-fallbacks", "0")
        if fallbacks in ("", "0") or not fallbacks.isdecimal():
            return reply
        warning = "the LiteLLM proxy fell back to another model"
        return structs.replace(reply, warnings=[*reply.warnings, warning])

    def kind_of(self, response: HttpResponse) -> AdapterErrorKind:
        """Classify an error: an exceeded budget is 422, 429 or 400; a wrong key is 400 without a database."""
        if error_type(response) in ("budget_exceeded", "no_db_connection"):
            return AdapterErrorKind.CREDENTIALS
        if response.status == 400 and "Invalid model name" in error_text(response):
            return AdapterErrorKind.MODEL_NOT_FOUND
        return super().kind_of(response)


def error_type(response: HttpResponse) -> str:
    """Return `error.type`; empty if there is none."""
    try:
        said = at(read_json(response), ("error", "type"))
    except AdapterError:
        return ""
    return said if isinstance(said, str) else ""


LITELLM_PROXY = Provider(
    name="litellm_proxy",
    usage_units=("token", "search_unit"),
    title="LiteLLM proxy",
    adapter="rerankd_adapters.providers.litellm_proxy:LitellmProxyAdapter",
    reference="https://docs.litellm.ai/docs/rerank",
    checked="2026-11-21",
    aliases=("litellm",),
    key_variables=("LITELLM_PROXY_API_KEY", "LITELLM_API_KEY"),
    base_url_variables=("LITELLM_PROXY_API_BASE", "LITELLM_API_BASE"),
    parameters=None,
    authentication=(BEARER, NO_KEY),
    key_is_required=False,
    capabilities=Capabilities(takes_instruction=True, takes_objects=True, source="source of litellm 1.109.1"),
    may_reroute=True,
    options=CHAT_OPTIONS,
    chat=ChatApi(
        adapter="rerankd_adapters.providers.openai:OpenAiChatAdapter",
        reference="https://docs.litellm.ai/docs/simple_proxy",
        checked="2026-11-29",
        traits=(ChatTraits(readings=MODEL_READINGS),),
    ),
    quirks=(
        "The proxy's fallbacks may change the model between two calls: calls are not split unless the settings "
        "declare it pointwise.",
        "Scores are in the score space of the upstream model, and results may be unsorted.",
        "max_tokens_per_doc makes it call the upstream model by Cohere v2, max_chunks_per_doc by v1.",
        "Some of its token counts are estimates.",
        "An exhausted budget of the key is not retried as a rate limit.",
        "Truncation of long documents is up to the upstream provider.",
    ),
    list_route="GET /model/info",
)
