"""Cohere's chat.

Reference: https://docs.cohere.com/reference/chat (cohere SDK 7.3.1). Facts of 2026-11-29.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from rerankd_adapters.chat.adapter import ChatCall, ChatReply
from rerankd_adapters.chat.dialect import ChatDialect, TokenIds
from rerankd_adapters.chat_api import ChatApi, ChatTraits
from rerankd_adapters.label_reading import LabelReading
from rerankd_adapters.providers.openai import price, text_of
from rerankd_adapters.wire import at, bad_response, read_count

_REASONS = {"COMPLETE": "stop", "MAX_TOKENS": "length"}


class CohereChatAdapter(ChatDialect):
    """Speaks `/v2/chat`."""

    optional: ClassVar[Mapping[str, tuple[str, ...]]] = {"thinking": ("thinking", "reasoning")}

    def body_of(self, call: ChatCall, reading: LabelReading | None, token_ids: TokenIds) -> dict[str, Any]:
        """Return the JSON object to send."""
        traits = self.traits_of(call)
        body: dict[str, Any] = {
            "model": call.model,
            "messages": [{"role": message.role, "content": message.content} for message in call.messages],
            "max_tokens": self.max_tokens_of(call, reading),
            "temperature": call.temperature,
            "stream": False,
            **(traits.thinking_on if call.thinking else traits.thinking_off),
        }
        if (schema := self.schema_of(call, reading)) is not None:
            body["response_format"] = {"type": "json_object", "json_schema": schema}
        return {**body, **call.options}

    def reply_of(self, call: ChatCall, body: object, token_ids: TokenIds) -> ChatReply:
        """Return the text of the message."""
        message = at(body, ("message",))
        if not isinstance(message, dict):
            raise bad_response("there is no message")
        reason = at(body, ("finish_reason",))
        return ChatReply(
            text=text_of(message.get("content")),
            finish_reason=_REASONS.get(reason, reason.lower()[:50]) if isinstance(reason, str) else "",
            prompt_tokens=read_count(body, _usage("input_tokens")),
            completion_tokens=read_count(body, _usage("output_tokens")),
        )


def _usage(name: str) -> tuple[tuple[str, ...], ...]:
    return (("usage", "billed_units", name), ("usage", "tokens", name))


COHERE_CHAT = ChatApi(
    adapter="rerankd_adapters.providers.cohere_chat:CohereChatAdapter",
    reference="https://docs.cohere.com/reference/chat",
    checked="2026-11-29",
    models=("command*", "c4ai-*"),
    path="/v2/chat",
    traits=(ChatTraits(thinking_off={"thinking": {"type": "disabled"}}),),
    prices=(
        price("command-r7b-12-2024", 0.0375, 0.15),
        price("command-r-08-2024", 0.15, 0.6),
        price("command-r-plus-08-2024", 2.5, 10.0),
        price("command-a-03-2025", 2.5, 10.0),
    ),
    quirks=(
        "Chat models tell the log-probability of the chosen token alone, so labels are read from JSON.",
        "Reasoning is switched off with `thinking: {type: disabled}`, which is left out for models that refuse it.",
    ),
)
