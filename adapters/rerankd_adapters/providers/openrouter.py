"""OpenRouter's rerank router.

Reference: https://openrouter.ai/docs/api/api-reference/rerank/create-rerank (SDK 1.3.84). Facts of 2026-11-21.
"""

from __future__ import annotations

from rerankd_adapters.base import Capabilities, Provider
from rerankd_adapters.chat_api import CHAT_OPTIONS, ChatApi, ChatTraits
from rerankd_adapters.dialect import Wire
from rerankd_adapters.listing import ListingDialect
from rerankd_adapters.models import IMAGE_MODELS
from rerankd_adapters.parameter import mapping, text
from rerankd_adapters.providers.openai import MODEL_READINGS


class OpenRouterAdapter(ListingDialect):
    """Jina's dialect without an echo flag; reports search units, tokens and cost."""

    wire = Wire(
        path="/api/v1/rerank",
        takes_images=True,
        always=None,
        prompt_tokens=(("usage", "total_tokens"),),
        search_units=(("usage", "search_units"),),
        cost_usd=("usage", "cost"),
    )


_SOURCE = "openrouter SDK 1.3.84"

OPENROUTER = Provider(
    name="openrouter",
    usage_units=("token", "search_unit"),
    title="OpenRouter",
    adapter="rerankd_adapters.providers.openrouter:OpenRouterAdapter",
    reference="https://openrouter.ai/docs/api/api-reference/rerank/create-rerank",
    checked="2026-11-21",
    base_url="https://openrouter.ai",
    key_variables=("OPENROUTER_API_KEY", "OR_API_KEY"),
    base_url_variables=("OPENROUTER_API_BASE",),
    parameters={
        "provider": mapping(_SOURCE),
        "session_id": text(_SOURCE),
        "trace": mapping(_SOURCE),
        "user": text(_SOURCE),
    },
    capabilities=Capabilities(source=_SOURCE),
    rules=IMAGE_MODELS,
    may_reroute=True,
    options=CHAT_OPTIONS,
    chat=ChatApi(
        adapter="rerankd_adapters.providers.openai:OpenAiChatAdapter",
        reference="https://openrouter.ai/docs/api/api-reference/chat/send-chat-completion-request",
        checked="2026-11-29",
        path="/api/v1/chat/completions",
        traits=(ChatTraits(thinking_off={"reasoning": {"effort": "none"}}, readings=MODEL_READINGS),),
    ),
    quirks=(
        "The routed provider may change between two calls, so calls are not split unless declared pointwise.",
        "Reports the cost of a call, in credits of one US dollar.",
        "Documents are always returned.",
        "Its list of models includes rerankers only with output_modalities=rerank.",
        "Set the headers HTTP-Referer and X-OpenRouter-Title on the deployment to appear in its rankings.",
    ),
    list_route="GET /api/v1/models?output_modalities=rerank",
)
