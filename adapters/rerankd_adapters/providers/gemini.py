"""Google's Gemini API.

Reference: https://ai.google.dev/api/generate-content (google-genai SDK 3.6.1). Facts of 2026-11-29.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from rerankd_adapters.base import AdapterErrorKind, HttpResponse, Provider, header_key
from rerankd_adapters.chat.adapter import ChatCall, ChatReply
from rerankd_adapters.chat.dialect import ChatDialect, TokenIds
from rerankd_adapters.chat_api import CHAT_OPTIONS, ChatApi, ChatTraits
from rerankd_adapters.failure import clean, error_text
from rerankd_adapters.label_reading import LabelReading, label_probabilities
from rerankd_adapters.providers.openai import MODEL_READINGS, price
from rerankd_adapters.wire import as_count, at, bad_response, path_segments

_REASONS = {"STOP": "stop", "MAX_TOKENS": "length"}


class GeminiChatAdapter(ChatDialect):
    """Speaks `models/MODEL:generateContent`."""

    optional: ClassVar[Mapping[str, tuple[str, ...]]] = {"thinkingConfig": ("thinking",)}

    def path_of(self, call: ChatCall) -> str:
        """Return the path of the model's method."""
        return f"/v1beta/models/{path_segments(call.model.removeprefix('models/'))}:generateContent"

    def body_of(self, call: ChatCall, reading: LabelReading | None, token_ids: TokenIds) -> dict[str, Any]:
        """Return the JSON object to send; optional fields are those of `generationConfig`."""
        traits = self.traits_of(call)
        system = [{"text": message.content} for message in call.messages if message.role == "system"]
        config: dict[str, Any] = {
            "maxOutputTokens": self.max_tokens_of(call, reading),
            "temperature": call.temperature,
            **(traits.thinking_on if call.thinking else traits.thinking_off),
        }
        if (schema := self.schema_of(call, reading)) is not None:
            config |= {"responseMimeType": "application/json", "responseJsonSchema": schema}
        if reading is LabelReading.TOP_LOGPROBS:
            config |= {"responseLogprobs": True, "logprobs": self.api.top_logprobs}
        contents = [
            {"role": "model" if message.role == "assistant" else "user", "parts": [{"text": message.content}]}
            for message in call.messages
            if message.role != "system"
        ]
        left_out = self._of(call.model).left_out
        body: dict[str, Any] = {
            "contents": contents,
            "generationConfig": {name: value for name, value in config.items() if name not in left_out},
        }
        if system:
            body["systemInstruction"] = {"parts": system}
        return {**body, **call.options}

    def reply_of(self, call: ChatCall, body: object, token_ids: TokenIds) -> ChatReply:
        """Return the reply of the first candidate; a blocked prompt is a reply without text."""
        usage, model, blocked = (at(body, path) for path in (("usageMetadata",), ("modelVersion",), _BLOCKED))
        candidates = at(body, ("candidates",))
        candidate = candidates[0] if isinstance(candidates, list) and candidates else None
        if not isinstance(candidate, dict) and not isinstance(blocked, str):
            raise bad_response("there is no candidate")
        reason = at(candidate, ("finishReason",)) or blocked
        parts = at(candidate, ("content", "parts"))
        texts = (
            part.get("text")
            for part in (parts if isinstance(parts, list) else [])
            if isinstance(part, dict) and not part.get("thought")
        )
        tokens = list(_first_tokens(at(candidate, ("logprobsResult",))))
        return ChatReply(
            text="".join(text for text in texts if isinstance(text, str)),
            label_probabilities=label_probabilities(call.labels, dict(tokens).items()),
            first_token=tokens[0][0][:100] if tokens else "",
            finish_reason=_REASONS.get(reason, reason.lower()[:50]) if isinstance(reason, str) else "",
            model=clean(model) if isinstance(model, str) and model else None,
            prompt_tokens=as_count(at(usage, ("promptTokenCount",))),
            completion_tokens=as_count(at(usage, ("candidatesTokenCount",)))
            + as_count(at(usage, ("thoughtsTokenCount",))),
        )

    def kind_of(self, response: HttpResponse) -> AdapterErrorKind:
        """Classify an error response: an invalid key is a 400."""
        if response.status == 400 and "api key" in error_text(response).casefold():
            return AdapterErrorKind.CREDENTIALS
        return super().kind_of(response)


_BLOCKED = ("promptFeedback", "blockReason")


def _first_tokens(result: object) -> Iterator[tuple[str, float]]:
    """Yield the first token that was written, then the likeliest ones in its place, with their log-probabilities."""
    chosen, top = at(result, ("chosenCandidates",)), at(result, ("topCandidates",))
    first = chosen[:1] if isinstance(chosen, list) else []
    likeliest = at(top[0], ("candidates",)) if isinstance(top, list) and top else None
    for entry in (*first, *(likeliest if isinstance(likeliest, list) else [])):
        token, logprob = at(entry, ("token",)), at(entry, ("logProbability",))
        if isinstance(token, str) and isinstance(logprob, int | float) and not isinstance(logprob, bool):
            yield token, max(min(float(logprob), 0.0), -1e4) if abs(logprob) < 1e9 else -1e4


GEMINI = Provider(
    name="gemini",
    title="Google Gemini",
    reference="https://ai.google.dev/api/generate-content",
    checked="2026-11-29",
    base_url="https://generativelanguage.googleapis.com",
    key_variables=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    base_url_variables=("GEMINI_API_BASE", "GEMINI_BASE_URL"),
    options=CHAT_OPTIONS,
    authentication=(header_key("x-goog-api-key"),),
    chat=ChatApi(
        adapter="rerankd_adapters.providers.gemini:GeminiChatAdapter",
        reference="https://ai.google.dev/api/generate-content",
        checked="2026-11-29",
        path="/v1beta/models/MODEL:generateContent",
        traits=(
            ChatTraits(
                models="gemini-2.5-pro*", thinking_off={"thinkingConfig": {"thinkingBudget": 128}}, thinking_tokens=256
            ),
            ChatTraits(
                models="gemini-2.5-flash*",
                thinking_off={"thinkingConfig": {"thinkingBudget": 0}},
                readings=MODEL_READINGS,
            ),
            ChatTraits(
                models="gemini-*pro*", thinking_off={"thinkingConfig": {"thinkingLevel": "low"}}, thinking_tokens=2048
            ),
            ChatTraits(
                models="gemini-[3-9]*",
                thinking_off={"thinkingConfig": {"thinkingLevel": "minimal"}},
                thinking_tokens=512,
                readings=MODEL_READINGS,
            ),
            ChatTraits(readings=MODEL_READINGS),
        ),
        prices=(
            price("gemini-2.5-flash", 0.3, 2.5),
            price("gemini-2.5-flash-lite", 0.1, 0.4),
            price("gemini-3.1-flash-lite*", 0.25, 1.5),
            price("gemini-3.5-flash", 1.5, 9.0),
            price("gemini-3.5-flash-lite", 0.3, 2.5),
            price("gemini-3.[6-8]-flash", 0.75, 3.75),
        ),
        quirks=(
            "Only some models give log-probabilities; others refuse them, and their labels are read from JSON.",
            "Reasoning of the Pro models, and of Gemini 3 and later, can only be made short; answers get room for it.",
            "A prompt that is blocked is an answer without text, not an error.",
            "An invalid key is a 400.",
        ),
    ),
)
