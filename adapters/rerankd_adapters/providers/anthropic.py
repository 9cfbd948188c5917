"""Anthropic's messages.

Reference: https://platform.claude.com/docs/en/api/messages/create (anthropic SDK 2.14.0). Facts of 2026-11-29.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from rerankd_adapters.base import Provider, header_key
from rerankd_adapters.chat.adapter import ChatCall, ChatReply
from rerankd_adapters.chat.dialect import ChatDialect, TokenIds
from rerankd_adapters.chat_api import CHAT_OPTIONS, ChatApi, ChatTraits
from rerankd_adapters.failure import clean
from rerankd_adapters.label_reading import LabelReading
from rerankd_adapters.providers.openai import price, text_of
from rerankd_adapters.wire import as_count, at, bad_response

_READ = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


class AnthropicChatAdapter(ChatDialect):
    """Speaks `/v1/messages`: the system prompt apart, answers in blocks, no log-probabilities."""

    optional: ClassVar[Mapping[str, tuple[str, ...]]] = {"thinking": ("thinking",)}

    def headers(self) -> Mapping[str, str]:
        """Return the version of the API."""
        return {"anthropic-version": "2023-06-01"}

    def body_of(self, call: ChatCall, reading: LabelReading | None, token_ids: TokenIds) -> dict[str, Any]:
        """Return the JSON object to send."""
        traits = self.traits_of(call)
        system = "\n\n".join(message.content for message in call.messages if message.role == "system")
        body: dict[str, Any] = {
            "model": call.model,
            "max_tokens": self.max_tokens_of(call, reading),
            "messages": [
                {"role": message.role, "content": message.content}
                for message in call.messages
                if message.role != "system"
            ],
        }
        if system:
            body["system"] = system
        body |= traits.thinking_on if call.thinking else traits.thinking_off
        if (schema := self.schema_of(call, reading)) is not None:
            body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
        return {**body, **call.options}

    def reply_of(self, call: ChatCall, body: object, token_ids: TokenIds) -> ChatReply:
        """Return the text blocks of the message."""
        content = at(body, ("content",))
        if not isinstance(content, list):
            raise bad_response("there is no content")
        reason, model = at(body, ("stop_reason",)), at(body, ("model",))
        return ChatReply(
            text=text_of(content),
            finish_reason={"end_turn": "stop", "max_tokens": "length"}.get(reason, reason[:50])
            if isinstance(reason, str)
            else "",
            model=clean(model) if isinstance(model, str) and model else None,
            prompt_tokens=sum(as_count(at(body, ("usage", name))) for name in _READ),
            completion_tokens=as_count(at(body, ("usage", "output_tokens"))),
        )


ANTHROPIC = Provider(
    name="anthropic",
    title="Anthropic",
    reference="https://platform.claude.com/docs/en/api/messages/create",
    checked="2026-11-29",
    base_url="https://api.anthropic.com",
    key_variables=("ANTHROPIC_API_KEY",),
    base_url_variables=("ANTHROPIC_BASE_URL", "ANTHROPIC_API_BASE"),
    options=CHAT_OPTIONS,
    authentication=(header_key("x-api-key"),),
    chat=ChatApi(
        adapter="rerankd_adapters.providers.anthropic:AnthropicChatAdapter",
        reference="https://platform.claude.com/docs/en/api/messages/create",
        checked="2026-11-29",
        path="/v1/messages",
        traits=(ChatTraits(thinking_off={"thinking": {"type": "disabled"}}, takes_temperature=False),),
        prices=(
            price("claude-haiku-4-5*", 1.0, 5.0),
            price("claude-haiku-5-5", 0.1, 0.5),
            price("claude-sonnet-4-5*", 3.0, 15.0),
            price("claude-sonnet-4-6", 3.0, 15.0),
            price("claude-sonnet-5", 2.0, 10.0),
            price("claude-sonnet-5-5", 2.0, 10.0),
            price("claude-opus-4-[5-8]*", 5.0, 25.0),
            price("claude-opus-5", 5.0, 25.0),
            price("claude-opus-5-5", 4.0, 20.0),
        ),
        quirks=(
            "Has no log-probabilities and takes no temperature: labels are read from an answer whose JSON schema the "
            "server enforces.",
            "Reasoning is switched off with `thinking: {type: disabled}`, which is left out for models that refuse it.",
            "529 means that the service is overloaded.",
        ),
    ),
)
