"""Ollama, which speaks OpenAI's chat API.

Reference: https://docs.ollama.com/api/openai-compatibility. Facts of 2026-11-29.
"""

from __future__ import annotations

from rerankd_adapters.base import BEARER, NO_KEY, Provider
from rerankd_adapters.chat_api import CHAT_OPTIONS, ChatApi, ChatTraits
from rerankd_adapters.providers.openai import EFFORT_NONE, MODEL_READINGS

OLLAMA = Provider(
    name="ollama",
    title="Ollama",
    reference="https://docs.ollama.com/api/openai-compatibility",
    checked="2026-11-29",
    aliases=("ollama_chat",),
    key_variables=("OLLAMA_API_KEY",),
    base_url_variables=("OLLAMA_API_BASE",),
    options=CHAT_OPTIONS,
    authentication=(BEARER, NO_KEY),
    key_is_required=False,
    chat=ChatApi(
        adapter="rerankd_adapters.providers.openai:OpenAiChatAdapter",
        reference="https://docs.ollama.com/api/openai-compatibility",
        checked="2026-11-29",
        traits=(ChatTraits(thinking_off=EFFORT_NONE, readings=MODEL_READINGS),),
        quirks=(
            "Gives log-probabilities since late 2025; labels of older servers are read from JSON.",
            "Cuts prompts beyond the model's `num_ctx` without saying so; set it above the longest document.",
        ),
    ),
)
