# ruff: noqa: S101, PT017 - a test suite asserts
"""Recordings of chat APIs: expected requests of a call, the provider's responses, and the expected reply or error."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import msgspec

from rerankd_adapters.base import AdapterError, Endpoint, Provider, ProviderCall, ProviderReply
from rerankd_adapters.chat.adapter import ChatCall, ChatMessage, ChatReply
from rerankd_adapters.label_reading import LabelReading
from rerankd_adapters.testing.recording_schema import ChatRecordingFields, read_fields
from rerankd_adapters.testing.recordings import KEY, Case, Recording, Step, check_error, check_request, scripted
from rerankd_adapters.testing.server import LoopbackServer, Received, ScriptedResponse

_SCORES = (0.5, 0.25, 0.125)


class Chats(Protocol):
    """The provider interface that the suite calls."""

    async def chat(self, call: ChatCall) -> ChatReply:
        """Complete a conversation."""
        ...


OpenChat = Callable[[Provider, Endpoint, Mapping[str, Any]], Chats]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatCase:
    """Calls of one model, one after the other, and the outcome of the last."""

    name: str
    call: ChatCall
    steps: Sequence[Step]
    """Steps in order; the last response is repeated for all further requests."""
    calls: int = 1
    """How often the call is made; what was learned of the server is kept between them."""
    reply: Mapping[str, Any] | None = None
    """Expected fields of the reply; others have their defaults."""
    error: Mapping[str, Any] | None = None
    """As of `Case`."""
    base_path: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRecording:
    """All recordings of one provider's chat API."""

    provider: str
    cases: Sequence[ChatCase]
    """Cases; the first is a successful one with one step."""
    errors: Sequence[ChatCase]
    """Documented errors, as responses to the call of the first case."""

    def all_cases(self) -> list[ChatCase]:
        """List the cases and the errors."""
        return [*self.cases, *self.errors]

    def as_ranking(self) -> Recording:
        """Return a recording whose behaviours that have nothing to do with scores apply to this API too."""
        first = self.cases[0]
        case = Case(
            name=first.name,
            call=ProviderCall(model=first.call.model, query="q", documents=["d"]),
            steps=first.steps,
            base_path=first.base_path,
            options=first.options,
        )
        return _ChatAnswers(provider=self.provider, shape={}, cases=[case], errors=[])


class _ChatAnswers(Recording):
    """Answers with the recorded chat response, whatever the results."""

    def answer_with(self, results: Sequence[tuple[Any, Any]]) -> Any:
        return msgspec.json.decode(self.cases[0].steps[0].response.body)


@dataclass(frozen=True, slots=True)
class AsRanking:
    """Asks a chat model for a completion in place of scores, and answers with fixed ones."""

    model: Chats

    async def rerank(self, call: ProviderCall) -> ProviderReply:
        """Chat about the query and the documents."""
        content = "\n".join((call.query, *call.documents))
        messages = (ChatMessage("system", "Be brief."), ChatMessage("user", content))
        reply = await self.model.chat(
            ChatCall(model=call.model, messages=messages, max_tokens=9, deadline_s=call.deadline_s)
        )
        scores = _SCORES[: len(call.documents)]
        return ProviderReply(indices=range(len(scores)), scores=scores, model=reply.text)


def load_chat_recording(path: Path) -> ChatRecording:
    """Read a recording.

    Raises:
        ValueError: With the path of a field that is unknown, missing or of another type.
    """
    data = read_fields(path, ChatRecordingFields)
    first = data["cases"][0]
    errors = [
        _case({**first, "name": _name_of(each), "reply": None, "error": each, "response": each["response"]})
        for each in data.get("errors", ())
    ]
    return ChatRecording(provider=data["provider"], cases=[_case(each) for each in data["cases"]], errors=errors)


def _name_of(error: Mapping[str, Any]) -> str:
    return error.get("name") or f"{error['response']['status']} is {error['kind']}"


def _case(data: Mapping[str, Any]) -> ChatCase:
    call = dict(data["call"])
    call["messages"] = tuple(ChatMessage(role, content) for role, content in call["messages"])
    call["labels"] = tuple(call.get("labels", ()))
    if "reading" in call:
        call["reading"] = LabelReading(call["reading"])
    steps = data.get("steps") or [{"request": data["request"], "response": data["response"]}]
    return ChatCase(
        name=data["name"],
        call=ChatCall(**call),
        steps=[Step(request=step["request"], response=scripted(step["response"])) for step in steps],
        calls=data.get("calls", 1),
        reply=data.get("reply"),
        error=data.get("error"),
        base_path=data.get("base_path", ""),
        options=data.get("options", {}),
    )


async def check_chat_case(case: ChatCase, provider: Provider, open_chat: OpenChat) -> None:
    """Run a case; assert every request, then the reply or error."""
    answers = iter(case.steps)
    last = case.steps[-1]

    def respond(_: Received) -> ScriptedResponse:
        return next(answers, last).response

    outcome: ChatReply | AdapterError | None = None
    async with LoopbackServer(respond) as server:
        model = open_chat(provider, Endpoint(base_url=server.url + case.base_path, api_key=KEY), case.options)
        for _ in range(case.calls):
            outcome = await chat_outcome_of(model, case.call)
        for received, step in zip(server.received, case.steps, strict=True):
            check_request(received, step.request)
    if case.error is not None:
        check_error(outcome, case.error)
    else:
        _check_reply(outcome, case.reply or {})


async def chat_outcome_of(model: Chats, call: ChatCall) -> ChatReply | AdapterError:
    """Run a call; return its reply or `AdapterError`. Other exceptions propagate."""
    try:
        return await model.chat(call)
    except AdapterError as error:
        assert len(error.message) <= 400
        assert error.message.isprintable(), f"unprintable: {error.message!r}"
        return error


def _check_reply(outcome: ChatReply | AdapterError | None, expected: Mapping[str, Any]) -> None:
    assert isinstance(outcome, ChatReply), f"failed: {outcome}"
    expected = dict(expected)
    probabilities = expected.pop("label_probabilities", None)
    if probabilities is None:
        assert outcome.label_probabilities is None
    else:
        assert outcome.label_probabilities is not None
        assert [round(each, 6) for each in outcome.label_probabilities] == probabilities
    cost = expected.pop("cost_usd", None)
    assert cost is None or abs((outcome.cost_usd or 0) - cost) < 1e-12, f"cost_usd is {outcome.cost_usd}"
    for name in ("text", "reading", "first_token", "finish_reason", "model", "prompt_tokens", "completion_tokens"):
        default = {"prompt_tokens": 0, "completion_tokens": 0, "reading": None, "model": None}.get(name, "")
        assert getattr(outcome, name) == expected.get(name, default), f"{name} is {getattr(outcome, name)!r}"
