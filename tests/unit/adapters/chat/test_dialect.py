"""What a chat adapter learns of a server, and what it does not take for knowledge."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from rerankd_adapters.base import AdapterError, Endpoint, HttpRequest, HttpResponse
from rerankd_adapters.chat.adapter import ChatAdapter, ChatCall, ChatMessage, ChatReply
from rerankd_adapters.label_reading import LabelReading
from rerankd_adapters.registry import find_provider, open_chat_adapter

ENDPOINT = Endpoint(base_url="http://host")
GRADE = ChatCall(
    model="m",
    messages=(ChatMessage("user", "Grade this secret text of a caller, please."),),
    max_tokens=1,
    labels=("0", "1"),
)
BLOCKED = {"promptFeedback": {"blockReason": "SAFETY"}}


def opened(name: str) -> ChatAdapter:
    provider = find_provider(name)
    assert provider is not None
    return open_chat_adapter(provider)


def answered(value: Any, status: int = 200) -> HttpResponse:
    return HttpResponse(status=status, body=json.dumps(value).encode())


def exchanged(adapter: ChatAdapter, *responses: HttpResponse) -> tuple[ChatReply, Sequence[HttpRequest]]:
    exchange, left = adapter.exchange(GRADE, ENDPOINT), list(responses)
    requests = [next(exchange)]
    while True:
        try:
            requests.append(exchange.send(left.pop(0)))
        except StopIteration as ended:
            assert left == []
            reply: ChatReply = ended.value
            return reply, requests


def gemini_of(token: str) -> HttpResponse:
    entry = {"token": token, "logProbability": -0.5}
    result = {"chosenCandidates": [entry], "topCandidates": [{"candidates": [entry]}]}
    return answered({"candidates": [{"content": {"parts": [{"text": token}]}, "logprobsResult": result}]})


def test_a_blocked_prompt_tells_nothing_of_the_server() -> None:
    adapter = opened("gemini")
    reply, requests = exchanged(adapter, answered(BLOCKED))
    assert (reply.text, reply.finish_reason, len(requests)) == ("", "safety", 1)
    assert adapter.must_probe(GRADE)
    reply, _ = exchanged(adapter, gemini_of("1"))
    assert reply.reading is LabelReading.TOP_LOGPROBS
    assert not adapter.must_probe(GRADE)


def test_silence_that_goes_on_ends_the_search() -> None:
    adapter = opened("gemini")
    for _ in range(3):
        exchanged(adapter, answered(BLOCKED))
    assert not adapter.must_probe(GRADE)


def test_a_server_that_ignores_logprobs_is_asked_for_json() -> None:
    adapter = opened("openai_compatible")
    plain = answered({"choices": [{"message": {"content": '{"answer": "1"}'}}]})
    reply, requests = exchanged(adapter, plain, plain)
    assert (reply.reading, reply.text, len(requests)) == (LabelReading.JSON_SCHEMA, "1", 2)
    _, requests = exchanged(adapter, plain)
    assert "logprobs" not in json.loads(requests[0].body)


def test_a_refusal_that_names_nothing_is_an_error() -> None:
    adapter = opened("openai_compatible")
    with pytest.raises(AdapterError, match="too long"):
        exchanged(adapter, answered({"error": {"message": "too long"}}, 400))
    assert adapter.must_probe(GRADE)


def test_a_refusal_that_quotes_the_prompt_teaches_nothing_and_keeps_it() -> None:
    """The prompt may have names of fields in it, and is no business of logs."""
    adapter = opened("openai_compatible")
    said = "bad input: Grade this secret text of a caller, please. logprobs response_format temperature"
    with pytest.raises(AdapterError) as refused:
        exchanged(adapter, answered({"error": {"message": said}}, 400))
    assert refused.value.message == "HTTP 400: bad input: [text withheld]"
    assert adapter.must_probe(GRADE)


def test_answers_that_keep_being_refused_end() -> None:
    adapter = opened("openai_compatible")
    words = ("temperature", "chat_template_kwargs", "logprobs", "response_format", "schema")
    refusals = [answered({"error": {"message": f"{word} is not supported"}}, 400) for word in words]
    with pytest.raises(AdapterError, match="schema is not supported"):
        exchanged(adapter, *refusals)
