# ruff: noqa: S101 - a test suite asserts
"""Provider misbehaviour and the expected outcome. Applies to every HTTP adapter."""

from __future__ import annotations

import asyncio
import gzip
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any, Final

from msgspec import structs

from rerankd_adapters.base import (
    AdapterError,
    AdapterErrorKind,
    Endpoint,
    Provider,
    ProviderCall,
    ProviderReply,
)
from rerankd_adapters.testing.recordings import (
    KEY,
    Case,
    OpenProvider,
    Recording,
    deadline_in,
    outcome_of,
)
from rerankd_adapters.testing.server import LoopbackServer, Respond, ScriptedResponse

MAX_RESPONSE_BYTES: Final = 1_000_000
"""Providers under test must reject responses larger than this."""
SHORT_S: Final = 0.15
"""Deadline in seconds of calls that are expected to exceed it."""
DOCUMENTS: Final = (
    "The first document of this call.",
    "The second document of this call.",
    "A third one, shorter.",
)

Outcome = ProviderReply | AdapterError
Check = Callable[[Recording, Provider, OpenProvider], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One behaviour of a provider and the check of its outcome."""

    name: str
    check: Check
    """Raises `AssertionError` on a wrong outcome."""


async def call_with(
    answer: ScriptedResponse,
    recording: Recording,
    provider: Provider,
    open_provider: OpenProvider,
    *,
    documents: Sequence[str] = DOCUMENTS,
    query: str = "Which document is meant here?",
    timeout_s: float = 10.0,
) -> tuple[Outcome, LoopbackServer]:
    """Call a server that returns `answer` to every request; return the outcome and the server."""
    first = recording.cases[0]
    call = ProviderCall(
        model=first.call.model, query=query, documents=list(documents), deadline_s=deadline_in(timeout_s)
    )
    async with LoopbackServer(lambda _: answer) as server:
        return await outcome_of(_open(first, server, provider, open_provider), call), server


def _open(case: Case, server: LoopbackServer, provider: Provider, open_provider: OpenProvider) -> Any:
    endpoint = Endpoint(base_url=server.url + case.base_path, api_key=KEY)
    return open_provider(provider, endpoint, case.options)


def is_trustworthy(reply: ProviderReply, documents: int) -> bool:
    """Whether a reply has exactly one finite score per document."""
    return (
        sorted(reply.indices) == list(range(documents))
        and len(reply.scores) == documents
        and all(map(math.isfinite, reply.scores))
    )


def _answers(name: str, results: Sequence[tuple[Any, Any]]) -> Behaviour:
    async def check(recording: Recording, provider: Provider, open_provider: OpenProvider) -> None:
        answer = ScriptedResponse.of_json(recording.answer_with(results))
        outcome, _ = await call_with(answer, recording, provider, open_provider)
        _assert_scores(outcome, dict(results))

    return Behaviour(name, check)


def _assert_scores(outcome: Outcome, scores: Mapping[int, float]) -> None:
    assert isinstance(outcome, ProviderReply), f"failed: {outcome}"
    assert is_trustworthy(outcome, len(scores))
    assert dict(zip(outcome.indices, outcome.scores, strict=True)) == scores


def _breaks_contract(name: str, results: Sequence[tuple[Any, Any]], *, by_index: bool = False) -> Behaviour:
    """Expect an invalid reply to be rejected, by the adapter or by the engine's reply check."""

    async def check(recording: Recording, provider: Provider, open_provider: OpenProvider) -> None:
        if by_index and recording.shape.get("index") is None:
            return
        answer = ScriptedResponse.of_json(recording.answer_with(results))
        outcome, _ = await call_with(answer, recording, provider, open_provider)
        if isinstance(outcome, AdapterError):
            assert outcome.kind is AdapterErrorKind.BAD_RESPONSE
        else:
            assert not is_trustworthy(outcome, len(DOCUMENTS))

    return Behaviour(name, check)


def _fails(name: str, answer: ScriptedResponse, kind: AdapterErrorKind, *, timeout_s: float = 10.0) -> Behaviour:
    async def check(recording: Recording, provider: Provider, open_provider: OpenProvider) -> None:
        outcome, server = await call_with(answer, recording, provider, open_provider, timeout_s=timeout_s)
        assert isinstance(outcome, AdapterError), f"answered {outcome}"
        assert outcome.kind is kind, f"{outcome.kind.value}: {outcome.message}"
        assert "<" not in outcome.message
        assert server.url.removeprefix("http://") not in outcome.message

    return Behaviour(name, check)


def _says(name: str, body: object, words: str, kind: AdapterErrorKind) -> Behaviour:
    """Send an error with status 200, plain text if `body` is `bytes`; expect an error of `kind` with those words."""
    told = ScriptedResponse(body=body) if isinstance(body, bytes) else ScriptedResponse.of_json(body)

    async def check(recording: Recording, provider: Provider, open_provider: OpenProvider) -> None:
        outcome, _ = await call_with(told, recording, provider, open_provider)
        assert isinstance(outcome, AdapterError), f"answered {outcome}"
        assert words in outcome.message, outcome.message
        assert outcome.kind is kind, f"{outcome.kind.value}: {outcome.message}"

    return Behaviour(name, check)


def _scores_beyond_json(name: str, score: bytes) -> Behaviour:
    async def check(recording: Recording, provider: Provider, open_provider: OpenProvider) -> None:
        answer = ScriptedResponse(body=_good(recording).replace(b"0.25", score))
        outcome, _ = await call_with(answer, recording, provider, open_provider)
        assert isinstance(outcome, AdapterError), f"answered {outcome}"
        assert outcome.kind is AdapterErrorKind.BAD_RESPONSE
        assert "is not a finite number" in outcome.message, outcome.message

    return Behaviour(name, check)


def _good(recording: Recording) -> bytes:
    return ScriptedResponse.of_json(recording.answer_with([(0, 0.5), (1, 0.25), (2, 0.125)])).body


def _sends(name: str, make: Callable[[bytes], ScriptedResponse], kind: AdapterErrorKind | None) -> Behaviour:
    """Send a valid body in an unusual way; expect a reply (`kind` is `None`) or an error of `kind`."""

    async def check(recording: Recording, provider: Provider, open_provider: OpenProvider) -> None:
        stalls = kind is AdapterErrorKind.TIMEOUT
        outcome, _ = await call_with(
            make(_good(recording)),
            recording,
            provider,
            open_provider,
            timeout_s=SHORT_S if stalls else 10.0,
        )
        if kind is None:
            _assert_scores(outcome, {0: 0.5, 1: 0.25, 2: 0.125})
        else:
            assert isinstance(outcome, AdapterError), f"answered {outcome}"
            assert outcome.kind is kind, f"{outcome.kind.value}: {outcome.message}"

    return Behaviour(name, check)


def _asks_to_wait(name: str, headers: Callable[[], Mapping[str, str]], wait_s: float) -> Behaviour:
    async def check(recording: Recording, provider: Provider, open_provider: OpenProvider) -> None:
        answer = ScriptedResponse.of_json({"message": "slow down"}, 429, headers())
        outcome, _ = await call_with(answer, recording, provider, open_provider)
        assert isinstance(outcome, AdapterError)
        assert outcome.kind is AdapterErrorKind.RATE_LIMITED
        assert outcome.kind.is_retryable
        assert outcome.retry_after_s is not None
        assert abs(outcome.retry_after_s - wait_s) <= 2

    return Behaviour(name, check)


async def _many_documents(recording: Recording, provider: Provider, open_provider: OpenProvider) -> None:
    documents = [f"document number {position}" for position in range(1000)]
    scores = {position: (position * 7919 % 1000) / 1000 for position in range(1000)}
    answer = ScriptedResponse.of_json(recording.answer_with(list(scores.items())))
    outcome, _ = await call_with(answer, recording, provider, open_provider, documents=documents)
    _assert_scores(outcome, scores)


async def _unicode(recording: Recording, provider: Provider, open_provider: OpenProvider) -> None:
    documents = ["naïve café", "日本語のテキスト", 'emoji 👩‍👩‍👧, "quotes", \\ and \u0000 control\n']
    answer = ScriptedResponse(body=_good(recording))
    outcome, server = await call_with(
        answer, recording, provider, open_provider, documents=documents, query="Что здесь ищут?"
    )
    assert isinstance(outcome, ProviderReply), f"failed: {outcome}"
    sent = list(_texts(server.received[0].json()))
    for text in (*documents, "Что здесь ищут?"):
        assert any(text in each for each in sent), f"{text!r} was not sent"


def _texts(value: object) -> Any:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


async def _asks_for_no_documents(recording: Recording, provider: Provider, open_provider: OpenProvider) -> None:
    _, server = await call_with(ScriptedResponse(body=_good(recording)), recording, provider, open_provider)
    body = server.received[0].json()
    for name in ("return_documents", "return_text", "return_input", "returnDocuments", "isEcho"):
        assert not body.get(name), f"{name} is asked for"


async def _redirect(recording: Recording, provider: Provider, open_provider: OpenProvider) -> None:
    answer = ScriptedResponse(status=307, headers={"location": "https://user:secret@other.host/elsewhere?secret=1"})
    outcome, server = await call_with(answer, recording, provider, open_provider)
    assert isinstance(outcome, AdapterError)
    assert outcome.kind is AdapterErrorKind.BAD_RESPONSE
    assert len(server.received) == 1
    assert "https://other.host/elsewhere" in outcome.message
    assert "secret" not in outcome.message


async def _echo(recording: Recording, provider: Provider, open_provider: OpenProvider) -> None:
    said = f"bad key {KEY} (Bearer {KEY}) for {DOCUMENTS[0]}"
    answer = ScriptedResponse.of_json({"message": said, "detail": said, "error": {"message": said}}, 400)
    outcome, _ = await call_with(answer, recording, provider, open_provider)
    assert isinstance(outcome, AdapterError)
    assert KEY not in outcome.message
    assert DOCUMENTS[0] not in outcome.message


def _always(answer: ScriptedResponse) -> Respond:
    return lambda _: answer


def _cancelled(name: str, stalls_after_bytes: int) -> Behaviour:
    async def check(recording: Recording, provider: Provider, open_provider: OpenProvider) -> None:
        first = recording.cases[0]
        answer = ScriptedResponse(body=_good(recording), stalls_after_bytes=stalls_after_bytes)
        async with LoopbackServer(_always(answer)) as server:
            call = structs.replace(first.call, deadline_s=deadline_in(30))
            task = asyncio.ensure_future(_open(first, server, provider, open_provider).rerank(call))
            async with asyncio.timeout(10):
                await server.first_request.wait()
            await asyncio.sleep(0.02)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert task.cancelled()
            async with asyncio.timeout(2):
                await server.client_left.wait()

    return Behaviour(name, check)


def _http_date() -> Mapping[str, str]:
    return {"retry-after": formatdate(time.time() + 30, usegmt=True)}


def _http_dates() -> Mapping[str, str]:
    skewed_s = time.time() + 86_400
    return {"date": formatdate(skewed_s, usegmt=True), "retry-after": formatdate(skewed_s + 30, usegmt=True)}


_K = AdapterErrorKind
_HTML = b"<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>"
_PAGE = {"content-type": "text/html"}

BEHAVIOURS: Final = (
    _answers("sorted", [(1, 0.75), (0, 0.5), (2, 0.25)]),
    _answers("unsorted", [(0, 0.25), (1, 0.75), (2, 0.5)]),
    _answers("ties", [(0, 1.0), (1, 1.0), (2, 1.0)]),
    _answers("whole, negative and tiny scores", [(0, 1), (1, -11.5), (2, 1e-20)]),
    _breaks_contract("missing result", [(0, 0.5), (1, 0.25)]),
    _breaks_contract("too many results", [(0, 0.5), (1, 0.25), (2, 0.1), (3, 0.1)]),
    _breaks_contract("no results", []),
    _breaks_contract("duplicate index", [(0, 0.5), (1, 0.25), (1, 0.1)], by_index=True),
    _breaks_contract("index out of range", [(0, 0.5), (1, 0.25), (3, 0.1)], by_index=True),
    _breaks_contract("negative index", [(0, 0.5), (1, 0.25), (-1, 0.1)], by_index=True),
    _breaks_contract("null index", [(0, 0.5), (1, 0.25), (None, 0.1)], by_index=True),
    _breaks_contract("null score", [(0, 0.5), (1, None), (2, 0.1)]),
    _breaks_contract("text score", [(0, 0.5), (1, "0.25"), (2, 0.1)]),
    _breaks_contract("truth for a score", [(0, 0.5), (1, True), (2, 0.1)]),
    _scores_beyond_json("NaN score", b"NaN"),
    _scores_beyond_json("endless score", b"1e999"),
    _scores_beyond_json("infinite score", b"-Infinity"),
    _says("error_msg in a 200", {"error_code": 110, "error_msg": "token expired"}, "token expired", _K.BAD_RESPONSE),
    _says("message in a 200", {"code": "busy", "message": "come back later"}, "come back later", _K.BAD_RESPONSE),
    _says("plain text in a 200", b"upstream is busy\n", "upstream is busy", _K.BAD_RESPONSE),
    _says("error in a 200", {"error": {"message": "slow down", "code": 429}}, "slow down", _K.RATE_LIMITED),
    _sends("wrong content type", lambda body: ScriptedResponse(body=body, headers={"content-type": "image/png"}), None),
    _sends("no content type", lambda body: ScriptedResponse(body=body, headers={}), None),
    _sends(
        "gzip",
        lambda body: ScriptedResponse(body=gzip.compress(body), headers={"content-encoding": "gzip"}),
        None,
    ),
    _sends("cut JSON", lambda body: ScriptedResponse(body=body[:-3]), _K.BAD_RESPONSE),
    _sends("broken connection", lambda body: ScriptedResponse(body=body, breaks_after_bytes=7), _K.UNAVAILABLE),
    _sends("slow headers", lambda body: ScriptedResponse(body=body, stalls_after_bytes=-1), _K.TIMEOUT),
    _sends("slow body", lambda body: ScriptedResponse(body=body, stalls_after_bytes=7), _K.TIMEOUT),
    _fails("reset connection", ScriptedResponse(breaks_after_bytes=-1), _K.UNAVAILABLE),
    _fails("empty body", ScriptedResponse(), _K.BAD_RESPONSE),
    _fails("null body", ScriptedResponse(body=b"null"), _K.BAD_RESPONSE),
    _fails("not UTF-8", ScriptedResponse(body=b'{"results": "\xff\xfe"}'), _K.BAD_RESPONSE),
    _fails("deep body", ScriptedResponse(body=b"[" * 100_000), _K.BAD_RESPONSE),
    _fails("oversize response", ScriptedResponse(body=b" " * (MAX_RESPONSE_BYTES + 1)), _K.BAD_RESPONSE),
    _fails("HTML page for an answer", ScriptedResponse(headers=_PAGE, body=_HTML), _K.BAD_RESPONSE),
    _fails("HTML error page", ScriptedResponse(status=502, headers=_PAGE, body=_HTML), _K.UNAVAILABLE),
    _fails("empty 401", ScriptedResponse(status=401), _K.CREDENTIALS),
    _fails("empty 500", ScriptedResponse(status=500), _K.UNAVAILABLE),
    _fails("503", ScriptedResponse(status=503, body=b'{"error": "loading"}'), _K.UNAVAILABLE),
    _asks_to_wait("Retry-After in seconds", lambda: {"retry-after": "7"}, 7),
    _asks_to_wait("Retry-After as a date", _http_date, 30),
    _asks_to_wait("Retry-After as a date by another clock", _http_dates, 30),
    _asks_to_wait("retry-after-ms", lambda: {"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
    Behaviour("1,000 documents", _many_documents),
    Behaviour("unicode", _unicode),
    Behaviour("asks for no documents", _asks_for_no_documents),
    Behaviour("redirect", _redirect),
    Behaviour("credentials and documents in an error", _echo),
    _cancelled("cancelled while waiting for the head", -1),
    _cancelled("cancelled in the middle of the body", 4),
)
"""All behaviours; each applies to every provider and transport."""
