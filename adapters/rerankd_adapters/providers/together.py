"""Together AI rerank.

Reference: https://docs.together.ai/reference/rerank (together SDK 3.1.1). Facts of 2026-11-21.
"""

from __future__ import annotations

from rerankd_adapters.base import Capabilities, Price, Provider, ScoreSpace, Scoring, Truncation
from rerankd_adapters.chat_api import CHAT_OPTIONS, ChatApi, ChatTraits
from rerankd_adapters.dialect import JsonDialect, Wire
from rerankd_adapters.providers.openai import MODEL_READINGS


class TogetherAdapter(JsonDialect):
    """Cohere's request format, with usage and errors in OpenAI's format."""

    wire = Wire(rank_fields="rank_fields", fixed={"return_documents": False})


_SOURCE = "together SDK 3.1.1, 2026-11-21"
_LLAMA_RANK = "Salesforce/Llama-Rank-v1"

TOGETHER = Provider(
    name="together",
    title="Together AI",
    adapter="rerankd_adapters.providers.together:TogetherAdapter",
    reference="https://docs.together.ai/reference/rerank",
    checked="2026-11-21",
    aliases=("together_ai", "togetherai"),
    base_url="https://api.together.ai",
    key_variables=("TOGETHER_API_KEY", "TOGETHERAI_API_KEY", "TOGETHER_AI_API_KEY"),
    base_url_variables=("TOGETHER_BASE_URL", "TOGETHER_AI_API_BASE"),
    capabilities=Capabilities(
        score_space=ScoreSpace.PROBABILITY,
        billing_unit="token",
        takes_objects=True,
        truncation_default=Truncation.END,
        source=_SOURCE,
    ),
    models={
        "mixedbread-ai/Mxbai-Rerank-Large-V2": Capabilities(scoring=Scoring.POINTWISE, source=_SOURCE),
        _LLAMA_RANK: Capabilities(scoring=Scoring.POINTWISE, source=_SOURCE),
    },
    prices=(Price(model=_LLAMA_RANK, unit="token", usd_per_million=0.10, source="LiteLLM 1.109.1", date="2026-11-21"),),
    options=CHAT_OPTIONS,
    chat=ChatApi(
        adapter="rerankd_adapters.providers.openai:OpenAiChatAdapter",
        reference="https://docs.together.ai/reference/chat-completions-1",
        checked="2026-11-29",
        top_logprobs=5,
        traits=(ChatTraits(thinking_off={"reasoning": {"enabled": False}}, readings=MODEL_READINGS),),
    ),
    quirks=("The set of serverless rerank models changes; a dedicated endpoint's name works as the model.",),
    list_route="GET /v2/supported-models",
)
