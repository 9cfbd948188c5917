"""AWS Bedrock: `Converse` of the runtime.

Reference: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html (service model of
botocore 1.44.8). Facts of 2026-11-29.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote

import msgspec

from rerankd_adapters.base import AdapterError, AdapterErrorKind, Endpoint, HttpRequest, HttpResponse
from rerankd_adapters.chat.adapter import ChatCall, ChatReply
from rerankd_adapters.chat.dialect import ChatDialect, TokenIds
from rerankd_adapters.chat_api import ChatApi
from rerankd_adapters.label_reading import LabelReading
from rerankd_adapters.providers import aws
from rerankd_adapters.wire import as_count, at, bad_response, post_json

_REASONS = {"end_turn": "stop", "max_tokens": "length"}


class BedrockChatAdapter(ChatDialect):
    """Speaks `/model/MODEL/converse`; the region is that of the model's ARN, the host or the settings."""

    optional: ClassVar[Mapping[str, tuple[str, ...]]] = {"temperature": ("temperature",)}

    def path_of(self, call: ChatCall) -> str:
        """Return the path of a model id, an inference profile or an ARN, as one segment."""
        if call.model in ("", ".", ".."):
            raise AdapterError(AdapterErrorKind.MODEL_NOT_FOUND, f"{call.model!r} is not the name of a model")
        return f"/model/{quote(call.model, safe=':')}/converse"

    def request_of(self, call: ChatCall, endpoint: Endpoint, body: object) -> HttpRequest:
        """Build the request of a body, with the region it is signed for."""
        regional = aws.regional(endpoint, call.model, self.options)
        request = post_json(regional, self.path_of(call), body, names_model=True)
        return aws.signed_for(request, call.model, endpoint, self.options)

    def body_of(self, call: ChatCall, reading: LabelReading | None, token_ids: TokenIds) -> dict[str, Any]:
        """Return the JSON object to send."""
        config: dict[str, Any] = {"maxTokens": self.max_tokens_of(call, reading), "temperature": call.temperature}
        left_out = self._of(call.model).left_out
        body: dict[str, Any] = {
            "messages": [
                {"role": message.role, "content": [{"text": message.content}]}
                for message in call.messages
                if message.role != "system"
            ],
            "inferenceConfig": {name: value for name, value in config.items() if name not in left_out},
        }
        if system := [{"text": message.content} for message in call.messages if message.role == "system"]:
            body["system"] = system
        if (schema := self.schema_of(call, reading)) is not None:
            named = {"name": "answer", "schema": msgspec.json.encode(schema).decode()}
            body["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": named}}}
        return {**body, **call.options}

    def reply_of(self, call: ChatCall, body: object, token_ids: TokenIds) -> ChatReply:
        """Return the text blocks of the message."""
        content = at(body, ("output", "message", "content"))
        if not isinstance(content, list):
            raise bad_response("there is no content")
        reason = at(body, ("stopReason",))
        texts = (block.get("text") for block in content if isinstance(block, dict))
        return ChatReply(
            text="".join(text for text in texts if isinstance(text, str)),
            finish_reason=_REASONS.get(reason, reason[:50]) if isinstance(reason, str) else "",
            prompt_tokens=sum(
                as_count(at(body, ("usage", name)))
                for name in ("inputTokens", "cacheReadInputTokens", "cacheWriteInputTokens")
            ),
            completion_tokens=as_count(at(body, ("usage", "outputTokens"))),
        )

    def kind_of(self, response: HttpResponse) -> AdapterErrorKind:
        """Classify by AWS's error type, else by its status."""
        return aws.aws_kind_of(response)


BEDROCK_CHAT = ChatApi(
    adapter="rerankd_adapters.providers.bedrock_chat:BedrockChatAdapter",
    reference="https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html",
    checked="2026-11-29",
    base_url="https://bedrock-runtime.{region}.amazonaws.com",
    path="/model/MODEL/converse",
    quirks=(
        "Converse has no log-probabilities; labels are read from an answer whose JSON schema the service enforces, or "
        "from the text for models without that.",
        "Reasoning is off unless `additionalModelRequestFields` asks for it.",
    ),
)
