"""DeepSeek, which speaks OpenAI's chat API.

Reference: https://api-docs.deepseek.com/guides/thinking_mode. Facts of 2026-11-29.
"""

from __future__ import annotations

from rerankd_adapters.base import Provider
from rerankd_adapters.chat_api import CHAT_OPTIONS, ChatApi, ChatTraits
from rerankd_adapters.label_reading import LabelReading
from rerankd_adapters.providers.openai import price

DEEPSEEK = Provider(
    name="deepseek",
    title="DeepSeek",
    reference="https://api-docs.deepseek.com/api/create-chat-completion",
    checked="2026-11-29",
    base_url="https://api.deepseek.com",
    key_variables=("DEEPSEEK_API_KEY",),
    base_url_variables=("DEEPSEEK_BASE_URL", "DEEPSEEK_API_BASE"),
    options=CHAT_OPTIONS,
    chat=ChatApi(
        adapter="rerankd_adapters.providers.openai:OpenAiChatAdapter",
        reference="https://api-docs.deepseek.com/api/create-chat-completion",
        checked="2026-11-29",
        traits=(
            ChatTraits(
                thinking_off={"thinking": {"type": "disabled"}},
                thinking_on={"thinking": {"type": "enabled"}},
                readings=(LabelReading.TOP_LOGPROBS, LabelReading.TEXT),
            ),
        ),
        prices=(
            price("deepseek-flash", 0.3, 1.2),
            price("deepseek-v4-flash", 0.3, 1.2),
            price("deepseek-v4-pro", 1.32, 3.96),
            price("deepseek-chat", 0.28, 0.42),
        ),
        quirks=(
            "Models think by default; it is switched off with `thinking: {type: disabled}`.",
            "Has JSON answers, but enforces no schema.",
            "402 means that the balance is used up.",
        ),
    ),
)
