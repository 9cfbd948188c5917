# ruff: noqa: S101, PT017, TRY004 - a test suite asserts
"""Recordings: the expected requests of a call, the provider's responses, and the expected reply or error.

A recording is a YAML file of one provider; `adapters/README.md` describes it field by field.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import msgspec

from rerankd_adapters.base import (
    AdapterError,
    AdapterErrorKind,
    Endpoint,
    Provider,
    ProviderCall,
    ProviderReply,
    Truncation,
)
from rerankd_adapters.testing.recording_schema import RecordingFields, read_fields
from rerankd_adapters.testing.server import LoopbackServer, Received, ScriptedResponse

KEY = "test-credential-0123456789"
"""Default API key of all cases."""


class RerankProvider(Protocol):
    """The provider interface that the suite calls."""

    async def rerank(self, call: ProviderCall) -> ProviderReply:
        """Score the documents of a call."""
        ...


OpenProvider = Callable[[Provider, Endpoint, Mapping[str, Any]], RerankProvider]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """An expected request and the response to it."""

    request: Mapping[str, Any]
    """`method`, `path`, `headers` (a null value: the header must be absent), `body` (whole, as JSON)."""
    response: ScriptedResponse


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A call and its expected outcome."""

    name: str
    call: ProviderCall
    steps: Sequence[Step]
    """Steps in order; the last response is repeated for all further requests."""
    reply: Mapping[str, Any] | None = None
    """Expected fields of the reply; `warnings` has one substring per warning."""
    error: Mapping[str, Any] | None = None
    """Expected `kind`, and optionally `retryable`, `retry_after_s`, `field`, `message` (a substring)."""
    base_path: str = ""
    """Path appended to the server's URL."""
    key: str = KEY
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """All recordings of one provider."""

    provider: str
    shape: Mapping[str, Any]
    """Locations in a successful response: `results`, `index`, `score`, `index_is_text`."""
    cases: Sequence[Case]
    """Cases; the first is a successful one with one step."""
    errors: Sequence[Case]
    """Documented errors, as responses to the call of the first case."""

    def all_cases(self) -> list[Case]:
        """List the cases and the errors."""
        return [*self.cases, *self.errors]

    def answer_with(self, results: Sequence[tuple[Any, Any]]) -> Any:
        """Return the response body of the first case with other results.

        Args:
            results: (index, score) pairs in response order.
        """
        body = msgspec.json.decode(self.cases[0].steps[0].response.body)
        return _put(body, [key for key in (self.shape["results"] or "").split(".") if key], self._items(results))

    def _items(self, results: Sequence[tuple[Any, Any]]) -> list[Any]:
        if self.shape.get("index") is None:
            return [score for _, score in sorted(results)]
        as_text = self.shape.get("index_is_text", False)
        index, score = self.shape["index"], self.shape["score"]
        return [{index: str(at) if as_text else at, score: value} for at, value in results]


def _put(body: Any, path: Sequence[str], value: Any) -> Any:
    return {**body, path[0]: _put(body[path[0]], path[1:], value)} if path else value


def load_recording(path: Path) -> Recording:
    """Read a recording.

    Raises:
        ValueError: With the path of a field that is unknown, missing or of another type.
    """
    data = read_fields(path, RecordingFields)
    cases = [_case(each) for each in data["cases"]]
    first = data["cases"][0]
    errors = [_error_case(each, first) for each in data.get("errors", ())]
    return Recording(provider=data["provider"], shape=data["shape"], cases=cases, errors=errors)


def _case(data: Mapping[str, Any]) -> Case:
    call = dict(data["call"])
    if "truncation" in call:
        call["truncation"] = Truncation(call["truncation"])
    steps = data.get("steps") or [{"request": data["request"], "response": data["response"]}]
    return Case(
        name=data["name"],
        call=ProviderCall(**call),
        steps=[Step(request=step["request"], response=scripted(step["response"])) for step in steps],
        reply=data.get("reply"),
        error=data.get("error"),
        base_path=data.get("base_path", ""),
        key=data.get("key", KEY),
        options=data.get("options", {}),
    )


def _error_case(error: Mapping[str, Any], first: Mapping[str, Any]) -> Case:
    step = {"request": first["request"], "response": error["response"]}
    name = error.get("name") or f"{error['response']['status']} is {error['kind']}"
    return _case({**first, "name": name, "reply": None, "error": error, "steps": [step]})


def scripted(data: Mapping[str, Any]) -> ScriptedResponse:
    """Build a recorded response: `status`, `headers`, and `json` or `text`."""
    status, headers = data.get("status", 200), data.get("headers")
    if "json" in data:
        return ScriptedResponse.of_json(data["json"], status, headers)
    return ScriptedResponse(
        status=status, headers=headers or {"content-type": "text/plain"}, body=data.get("text", "").encode()
    )


async def check_case(recording: Recording, case: Case, provider: Provider, open_provider: OpenProvider) -> None:
    """Run a case; assert every request, then the reply or error."""
    assert provider.name == recording.provider, f"{provider.name} has a recording of {recording.provider}"
    answers = iter(case.steps)
    last = case.steps[-1]

    def respond(_: Received) -> ScriptedResponse:
        return next(answers, last).response

    async with LoopbackServer(respond) as server:
        options = {
            name: value.replace("{server}", server.url) if isinstance(value, str) else value
            for name, value in case.options.items()
        }
        endpoint = Endpoint(base_url=server.url + case.base_path, api_key=case.key)
        outcome = await outcome_of(open_provider(provider, endpoint, options), case.call)
        for received, step in zip(server.received, case.steps, strict=False):
            check_request(received, step.request)
        assert len(server.received) >= len(case.steps) or case.error, "fewer requests than expected"
    if case.error is not None:
        check_error(outcome, case.error)
    else:
        check_reply(outcome, case.reply or {})


async def outcome_of(deployment: RerankProvider, call: ProviderCall) -> ProviderReply | AdapterError:
    """Run a call; return its reply or `AdapterError`. Other exceptions propagate."""
    try:
        return await deployment.rerank(call)
    except AdapterError as error:
        assert error.message == str(error)
        assert len(error.message) <= 400
        assert error.message.isprintable(), f"unprintable: {error.message!r}"
        return error


def check_request(received: Received, expected: Mapping[str, Any]) -> None:
    """Assert a request, field by field."""
    method = expected.get("method", "POST")
    assert received.method == method, f"method is {received.method}, not {method}"
    assert received.path == expected["path"], f"path is {received.path}, not {expected['path']}"
    for name, value in expected.get("headers", {}).items():
        found = received.headers.get(name)
        assert found == value, f"header {name} is {found!r}, not {value!r}"
    if "body" in expected:
        body = received.json()
        assert body == expected["body"], f"body is {body}, not {expected['body']}"


def check_reply(outcome: ProviderReply | AdapterError, expected: Mapping[str, Any]) -> None:
    """Assert the expected fields of a reply; other fields must have their defaults."""
    if isinstance(outcome, AdapterError):
        raise AssertionError(f"failed: {outcome.kind.value}: {outcome.message}")
    for name in ("indices", "scores"):
        found = list(getattr(outcome, name))
        assert found == expected[name], f"{name} are {found}, not {expected[name]}"
    for name, silent in (
        ("prompt_tokens", 0),
        ("completion_tokens", 0),
        ("search_units", 0),
        ("model", None),
    ):
        value, wanted = getattr(outcome, name), expected.get(name, silent)
        assert value == wanted, f"{name} is {value!r}, not {wanted!r}"
    if "cost_usd" in expected:
        cost = outcome.cost_usd
        assert cost is not None
        assert abs(cost - expected["cost_usd"]) < 1e-12
    warnings = expected.get("warnings", [])
    assert len(outcome.warnings) == len(warnings), f"warnings are {list(outcome.warnings)}, not {warnings}"
    for part, warning in zip(warnings, outcome.warnings, strict=True):
        assert part in warning, f"warning {warning!r} has no {part!r}"


def check_error(outcome: object, expected: Mapping[str, Any]) -> None:
    """Assert the expected fields of an error."""
    assert isinstance(outcome, AdapterError), f"answered {outcome}"
    kind = outcome.kind
    assert kind is AdapterErrorKind(expected["kind"]), (
        f"kind is {kind.value}, not {expected['kind']}: {outcome.message}"
    )
    assert kind.is_retryable == expected.get("retryable", kind.is_retryable), f"retryable is {kind.is_retryable}"
    message = expected.get("message", "")
    assert message in outcome.message, f"message {outcome.message!r} has no {message!r}"
    if "field" in expected:
        assert outcome.field == expected["field"], f"field is {outcome.field!r}, not {expected['field']!r}"
    wanted = expected.get("retry_after_s")
    given = outcome.retry_after_s
    is_as_wanted = given is None if wanted is None else given is not None and abs(given - wanted) < 2
    assert is_as_wanted, f"retry_after_s is {given}, not {wanted}"


def deadline_in(seconds: float) -> float:
    """Return the monotonic time `seconds` from now."""
    return time.monotonic() + seconds
