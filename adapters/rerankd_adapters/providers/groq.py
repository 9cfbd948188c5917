"""Groq, which speaks OpenAI's chat API.

Reference: https://console.groq.com/docs/api-reference (groq SDK 1.7.0). Facts of 2026-11-29.
"""

from __future__ import annotations

from rerankd_adapters.base import Provider
from rerankd_adapters.chat_api import CHAT_OPTIONS, ChatApi, ChatTraits
from rerankd_adapters.providers.openai import EFFORT_NONE, price

GROQ = Provider(
    name="groq",
    title="Groq",
    reference="https://console.groq.com/docs/api-reference",
    checked="2026-11-29",
    base_url="https://api.groq.com/openai",
    key_variables=("GROQ_API_KEY",),
    base_url_variables=("GROQ_BASE_URL", "GROQ_API_BASE"),
    options=CHAT_OPTIONS,
    chat=ChatApi(
        adapter="rerankd_adapters.providers.openai:OpenAiChatAdapter",
        reference="https://console.groq.com/docs/api-reference",
        checked="2026-11-29",
        path="/openai/v1/chat/completions",
        max_tokens="max_completion_tokens",
        traits=(
            ChatTraits(models="openai/gpt-oss*", thinking_off={"reasoning_effort": "low"}, thinking_tokens=1024),
            ChatTraits(models="*qwen3*", thinking_off=EFFORT_NONE),
            ChatTraits(),
        ),
        prices=(
            price("openai/gpt-oss-120b", 0.15, 0.6),
            price("openai/gpt-oss-20b", 0.075, 0.3),
            price("qwen/qwen3.8-27b", 0.8, 4.0),
        ),
        quirks=(
            "No model gives log-probabilities; labels are read from JSON.",
            "Reasoning of gpt-oss cannot be switched off; answers get room for it.",
        ),
    ),
)
