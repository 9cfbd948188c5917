"""Mistral AI, which speaks OpenAI's chat API.

Reference: https://docs.mistral.ai/api/ (mistralai SDK 3.7.0). Facts of 2026-11-29.
"""

from __future__ import annotations

from rerankd_adapters.base import Provider
from rerankd_adapters.chat_api import CHAT_OPTIONS, ChatApi, ChatTraits
from rerankd_adapters.providers.openai import EFFORT_NONE, MODEL_READINGS, price

MISTRAL = Provider(
    name="mistral",
    title="Mistral AI",
    reference="https://docs.mistral.ai/api/",
    checked="2026-11-29",
    base_url="https://api.mistral.ai",
    key_variables=("MISTRAL_API_KEY",),
    base_url_variables=("MISTRAL_BASE_URL", "MISTRAL_API_BASE"),
    options=CHAT_OPTIONS,
    chat=ChatApi(
        adapter="rerankd_adapters.providers.openai:OpenAiChatAdapter",
        reference="https://docs.mistral.ai/api/",
        checked="2026-11-29",
        traits=(
            ChatTraits(models="magistral*", thinking_tokens=2048),
            ChatTraits(thinking_off=EFFORT_NONE, readings=MODEL_READINGS),
        ),
        prices=(
            price("ministral-3b*", 0.1, 0.1),
            price("ministral-8b*", 0.15, 0.15),
            price("mistral-small-2603", 0.15, 0.6),
            price("mistral-medium-2604", 1.5, 7.5),
            price("mistral-large-2512", 0.5, 1.5),
        ),
        quirks=(
            "Refuses unknown fields with a 422; they are left out from then on.",
            "Magistral always thinks; its answers get room for it.",
        ),
    ),
)
