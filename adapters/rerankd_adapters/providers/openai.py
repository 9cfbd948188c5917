"""OpenAI's chat completions, and every API that imitates them.

Reference: https://platform.openai.com/docs/api-reference/chat/create (openai SDK 3.57.0). Facts of 2026-11-29.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

from rerankd_adapters.base import BEARER, NO_KEY, Provider
from rerankd_adapters.capability import ChatPrice
from rerankd_adapters.chat.adapter import ChatCall, ChatReply
from rerankd_adapters.chat.dialect import ChatDialect, TokenIds, without_reasoning
from rerankd_adapters.chat_api import CHAT_OPTIONS, ChatApi, ChatTraits
from rerankd_adapters.failure import clean
from rerankd_adapters.label_reading import LabelReading, label_probabilities
from rerankd_adapters.usage_fields import read_completion_tokens, read_prompt_tokens
from rerankd_adapters.wire import at, bad_response, read_usd

LABEL_BIAS: Final = 5
"""Added to the logits of all labels: it raises them among the tokens that are told and keeps their ratios."""
MODEL_READINGS: Final = (LabelReading.TOP_LOGPROBS, LabelReading.JSON_SCHEMA, LabelReading.TEXT)
"""Of models that give log-probabilities."""
_ID: Final = "token_id:"


class OpenAiChatAdapter(ChatDialect):
    """Speaks `/v1/chat/completions`; what a server does differently is data of its `ChatApi`."""

    optional: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "temperature": ("temperature",),
        "reasoning_effort": ("reasoning_effort", "reasoning effort", "reasoning.effort"),
        "reasoning": ("'reasoning'", '"reasoning"', "reasoning is"),
        "chat_template_kwargs": ("chat_template_kwargs", "enable_thinking"),
        "thinking": ("thinking",),
        "logit_bias": ("logit_bias",),
    }

    def body_of(self, call: ChatCall, reading: LabelReading | None, token_ids: TokenIds) -> dict[str, Any]:
        """Return the JSON object to send."""
        traits = self.traits_of(call)
        body: dict[str, Any] = {
            "model": call.model,
            "messages": [{"role": message.role, "content": message.content} for message in call.messages],
            self.api.max_tokens: self.max_tokens_of(call, reading),
        }
        if traits.takes_temperature:
            body["temperature"] = call.temperature
        body |= traits.thinking_on if call.thinking else traits.thinking_off
        if (schema := self.schema_of(call, reading)) is not None:
            named = {"name": "answer", "strict": True, "schema": schema}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        if reading is LabelReading.LOGPROB_TOKEN_IDS:
            ids = [each for spelled in token_ids.values() for each in spelled]
            body |= {"logprobs": True, "logprob_token_ids": ids, "return_tokens_as_token_ids": True}
        elif reading is LabelReading.TOP_LOGPROBS:
            body |= {"logprobs": True, "top_logprobs": self.api.top_logprobs}
            if token_ids:
                body["logit_bias"] = {str(each): LABEL_BIAS for spelled in token_ids.values() for each in spelled}
        return {**body, **call.options}

    def reply_of(self, call: ChatCall, body: object, token_ids: TokenIds) -> ChatReply:
        """Return the reply of the first choice."""
        choices = at(body, ("choices",))
        choice = choices[0] if isinstance(choices, list) and choices else None
        message = at(choice, ("message",))
        if not isinstance(message, dict):
            raise bad_response("there is no message")
        text = text_of(message.get("content"))
        tokens = list(_first_tokens(at(choice, ("logprobs",))))
        label_of_id = {f"{_ID}{each}": label for label, ids in token_ids.items() for each in ids}
        finish_reason = at(choice, ("finish_reason",))
        model = at(body, ("model",))
        return ChatReply(
            text=without_reasoning(text),
            label_probabilities=label_probabilities(call.labels, dict(tokens).items(), label_of_id),
            first_token=(text if tokens[0][0].startswith(_ID) else tokens[0][0])[:100] if tokens else "",
            finish_reason=finish_reason[:50] if isinstance(finish_reason, str) else "",
            model=clean(model) if isinstance(model, str) and model else None,
            prompt_tokens=read_prompt_tokens(body, (("usage", "prompt_tokens"),)),
            completion_tokens=read_completion_tokens(body, (("usage", "completion_tokens"),)),
            cost_usd=read_usd(body, ("usage", "cost")),
        )


def text_of(content: object) -> str:
    """Return the text of a content: a string, or a list of parts; empty if there is none."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = (part.get("text") for part in parts if isinstance(part, dict) and part.get("type", "text") == "text")
    return "".join(text for text in texts if isinstance(text, str))


def _first_tokens(logprobs: object) -> Iterator[tuple[str, float]]:
    """Yield the first token that was written, then the likeliest ones in its place, with their log-probabilities."""
    content = at(logprobs, ("content",))
    if isinstance(content, list) and content and isinstance(first := content[0], dict):
        top = first.get("top_logprobs")
        for entry in (first, *(top if isinstance(top, list) else [])):
            yield from _token_of(at(entry, ("token",)), at(entry, ("logprob",)))
        return
    tokens, values, top = (at(logprobs, (name,)) for name in ("tokens", "token_logprobs", "top_logprobs"))
    if isinstance(tokens, list) and isinstance(values, list) and tokens and values:
        yield from _token_of(tokens[0], values[0])
        likeliest = top[0] if isinstance(top, list) and top else None
        for token, logprob in likeliest.items() if isinstance(likeliest, dict) else ():
            yield from _token_of(token, logprob)


def _token_of(token: object, logprob: object) -> Iterator[tuple[str, float]]:
    if isinstance(token, str) and isinstance(logprob, int | float) and not isinstance(logprob, bool):
        yield token, max(min(float(logprob), 0.0), -1e4) if abs(logprob) < 1e9 else -1e4


_SOURCE = "openai SDK 3.57.0; LiteLLM 1.109.1"
_PRICED = {"source": "LiteLLM 1.109.1", "date": "2026-11-29"}
EFFORT_NONE: Final = {"reasoning_effort": "none"}


def price(model: str, usd: float, output_usd: float) -> ChatPrice:
    """Declare the price of a model, in US dollars per million tokens that it reads and writes."""
    return ChatPrice(model=model, usd_per_million=usd, output_usd_per_million=output_usd, **_PRICED)


_LOW = ChatTraits(
    models="o[1-9]*",
    thinking_off={"reasoning_effort": "low"},
    thinking_tokens=2048,
    takes_temperature=False,
)
_DIGITS: Final = {str(digit): 15 + digit for digit in range(10)}
"""Token ids of digits in the encodings cl100k_base and o200k_base (gpt-tokenizer 4.0.0, 2026-11-29)."""
OPENAI_TRAITS: Final = (
    _LOW,
    ChatTraits(models="gpt-5-chat*", readings=MODEL_READINGS),
    ChatTraits(models="gpt-5*-chat*", takes_temperature=False),
    ChatTraits(models="gpt-5.[1-9]*", thinking_off=EFFORT_NONE, readings=MODEL_READINGS),
    ChatTraits(
        models="gpt-5*", thinking_off={"reasoning_effort": "minimal"}, thinking_tokens=1024, takes_temperature=False
    ),
    ChatTraits(models="gpt-[6-9]*", thinking_off=EFFORT_NONE, readings=MODEL_READINGS),
    ChatTraits(models="gpt-[34]*", readings=MODEL_READINGS, label_token_ids=_DIGITS),
    ChatTraits(readings=MODEL_READINGS),
)
"""Of OpenAI's models, wherever they are served."""
OPENAI_PRICES: Final = (
    price("gpt-4.1", 2.0, 8.0),
    price("gpt-4.1-20*", 2.0, 8.0),
    price("gpt-4.1-mini*", 0.4, 1.6),
    price("gpt-4.1-nano*", 0.1, 0.4),
    price("gpt-4o-mini", 0.15, 0.6),
    price("gpt-4o", 2.5, 10.0),
    price("gpt-5", 1.25, 10.0),
    price("gpt-5-mini*", 0.25, 2.0),
    price("gpt-5-nano*", 0.05, 0.4),
    price("gpt-5.1", 1.25, 10.0),
    price("gpt-5.2", 1.75, 14.0),
    price("gpt-5.4", 2.5, 15.0),
    price("gpt-5.4-mini*", 0.75, 4.5),
    price("gpt-5.4-nano*", 0.2, 1.25),
    price("gpt-5.6-luna", 0.2, 1.2),
    price("gpt-6-luna", 0.1, 0.5),
    price("gpt-6-sol", 2.0, 10.0),
)

OPENAI = Provider(
    name="openai",
    title="OpenAI",
    reference="https://platform.openai.com/docs/api-reference/chat/create",
    checked="2026-11-29",
    base_url="https://api.openai.com",
    key_variables=("OPENAI_API_KEY",),
    base_url_variables=("OPENAI_BASE_URL", "OPENAI_API_BASE"),
    options=CHAT_OPTIONS,
    chat=ChatApi(
        adapter="rerankd_adapters.providers.openai:OpenAiChatAdapter",
        reference="https://platform.openai.com/docs/api-reference/chat/create",
        checked="2026-11-29",
        max_tokens="max_completion_tokens",
        traits=OPENAI_TRAITS,
        prices=OPENAI_PRICES,
        quirks=(
            "Log-probabilities come from models without reasoning, and from GPT-5.1 and later with effort none.",
            "Reasoning of the o models and of GPT-5 cannot be switched off; answers get room for it.",
            "Labels that are digits get an equal `logit_bias` from GPT-3.5 to GPT-4.1, whose token ids are known: it "
            "raises them among the 20 tokens that are told and keeps their ratios.",
            "A field that a model refuses is left out from then on.",
        ),
    ),
)

OPENAI_COMPATIBLE = Provider(
    name="openai_compatible",
    title="Any endpoint that speaks OpenAI's API",
    reference="https://platform.openai.com/docs/api-reference/chat/create",
    checked="2026-11-29",
    key_variables=("OPENAI_COMPATIBLE_API_KEY",),
    base_url_variables=("OPENAI_COMPATIBLE_API_BASE",),
    options=CHAT_OPTIONS,
    authentication=(BEARER, NO_KEY),
    key_is_required=False,
    chat=ChatApi(
        adapter="rerankd_adapters.providers.openai:OpenAiChatAdapter",
        reference="https://platform.openai.com/docs/api-reference/chat/create",
        checked="2026-11-29",
        traits=(
            ChatTraits(thinking_off={"chat_template_kwargs": {"enable_thinking": False}}, readings=MODEL_READINGS),
        ),
        quirks=(
            "Sends `chat_template_kwargs: {enable_thinking: false}` until the server refuses it.",
            "Set `provider: openai_compatible` for each endpoint, under a name of your own.",
        ),
    ),
)
