"""vLLM's chat completions, with labels by token id, or by its route `/generative_scoring`.

Reference: https://docs.vllm.ai/en/latest/serving/online_serving/generative_scoring/ and the source of vLLM's
`chat_completion/protocol.py` (pull requests 34539 and 43463). Facts of 2026-11-29.
"""

from __future__ import annotations

from typing import Any, Final

from rerankd_adapters.chat.adapter import ChatCall, ChatExchange, ChatReply
from rerankd_adapters.chat.dialect import TokenIds
from rerankd_adapters.chat_api import ChatApi, ChatTraits, TokenRoute
from rerankd_adapters.error import AdapterError, AdapterErrorKind
from rerankd_adapters.http import Endpoint, HttpResponse
from rerankd_adapters.label_reading import LabelReading
from rerankd_adapters.providers.openai import OpenAiChatAdapter
from rerankd_adapters.usage_fields import read_prompt_tokens
from rerankd_adapters.wire import at, bad_response, post_json, read_json

NO_THINKING: Final = {"chat_template_kwargs": {"enable_thinking": False}}
"""Of servers that render a model's own chat template."""


class VllmChatAdapter(OpenAiChatAdapter):
    """Asks for the log-probabilities of the labels' tokens."""

    def exchange(self, call: ChatCall, endpoint: Endpoint) -> ChatExchange:
        """Complete the conversation; by `/generative_scoring` if the settings say so.

        Raises:
            AdapterError: As `build` and `parse`; `UNSUPPORTED` for labels of more than one token.
        """
        learned = self._of(call.model)
        if self._reading_of(call, learned) is not LabelReading.GENERATIVE_SCORING:
            return (yield from super().exchange(call, endpoint))
        if not (yield from self.learn_token_ids(call, endpoint, learned)):
            message = "generative_scoring needs labels of one token each, and the server's /tokenize"
            raise AdapterError(AdapterErrorKind.UNSUPPORTED, message)
        ids = self._token_ids(call, learned)
        prompt = self._checked(call, (yield post_json(endpoint, "/tokenize", self._prompt(call))))
        tokens = at(prompt, ("tokens",))
        if not isinstance(tokens, list) or len(tokens) < 2:
            raise bad_response("there are no tokens")
        scores: list[float] = []
        read = 0
        for label in call.labels:
            body = self._scoring_of(call, tokens, label, ids)
            answer = self._checked(call, (yield post_json(endpoint, "/generative_scoring", body)))
            scores.append(_score_in(answer))
            read += read_prompt_tokens(answer, (("usage", "prompt_tokens"),))
        best = call.labels[scores.index(max(scores))]
        return ChatReply(
            text=best, label_probabilities=scores, reading=LabelReading.GENERATIVE_SCORING, prompt_tokens=read
        )

    def _prompt(self, call: ChatCall) -> dict[str, Any]:
        fields = self.traits_of(call).thinking_on if call.thinking else self.traits_of(call).thinking_off
        messages = [{"role": message.role, "content": message.content} for message in call.messages]
        return {"model": call.model, "messages": messages, "add_generation_prompt": True, **fields}

    def _scoring_of(self, call: ChatCall, tokens: list[Any], label: str, ids: TokenIds) -> dict[str, Any]:
        """Return the request for the probability of a label: that of the first of its tokens' ids."""
        others = [each for name, spelled in ids.items() if name != label for each in spelled[:1]]
        return {
            "model": call.model,
            "query": tokens[:-1],
            "items": [tokens[-1:]],
            "label_token_ids": [ids[label][0], *others],
            "apply_softmax": False,
            "add_special_tokens": False,
        }

    def _checked(self, call: ChatCall, response: HttpResponse) -> object:
        if response.status != 200:
            raise self.failure_of(call, response)
        return read_json(response)


def _score_in(body: object) -> float:
    data = at(body, ("data",))
    score = at(data[0], ("score",)) if isinstance(data, list) and data else None
    if not isinstance(score, int | float) or isinstance(score, bool) or not 0 <= score <= 1:
        raise bad_response("there is no score of 0 to 1")
    return float(score)


VLLM_CHAT = ChatApi(
    adapter="rerankd_adapters.providers.vllm_chat:VllmChatAdapter",
    reference="https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
    checked="2026-11-29",
    token_route=TokenRoute(path="/tokenize", text="prompt", fixed={"add_special_tokens": False}, names_model=True),
    traits=(
        ChatTraits(
            thinking_off=NO_THINKING,
            thinking_on={"chat_template_kwargs": {"enable_thinking": True}},
            readings=(
                LabelReading.LOGPROB_TOKEN_IDS,
                LabelReading.TOP_LOGPROBS,
                LabelReading.JSON_SCHEMA,
                LabelReading.TEXT,
            ),
        ),
    ),
    quirks=(
        "Labels are asked for by token id (`logprob_token_ids`, from mid-2026); older servers ignore it, which is "
        "noticed, and are asked for the 20 likeliest tokens.",
        "`label_reading: generative_scoring` uses POST /generative_scoring, with one request for each label and two "
        "more for the tokens; it has no chat template of its own, so the prompt is rendered by POST /tokenize.",
        "Models with a reasoning parser must be told not to think (`enable_thinking: false`, sent by default).",
    ),
)
