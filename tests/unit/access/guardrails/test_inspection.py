"""Guardrails in a real engine of scripted providers, and hooks over sockets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from rerankd.access.guardrails.inspection import Guardrails
from rerankd.access.settings import AccessSettings
from rerankd.cache.memory import ScoreMemory
from rerankd.cache.pair_scores import PairScores
from rerankd.contract.call_context import CallContext, Caller
from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.messages import Document, RerankRequest, RerankResponse
from rerankd.engine.limits import RequestLimits
from rerankd.engine.pipeline import Engine
from rerankd.engine.rendering import render
from rerankd.engine.routing.router import Router
from rerankd.http.transport import HttpTransport
from rerankd.http.transport_factory import open_transport
from rerankd.http.transport_settings import TransportSettings
from rerankd_adapters.testing import LoopbackServer, Received, ScriptedResponse
from tests.support.providers import ScriptedProvider

SECRET = "jane@example.org"
CALL = CallContext(request_id="r1", caller=Caller(key_id="k1"))
Opened = Callable[..., tuple[Engine, ScriptedProvider]]


@pytest.fixture
async def transport() -> AsyncIterator[HttpTransport]:
    opened = open_transport(TransportSettings())
    yield opened
    await opened.close()


@pytest.fixture
def opened(transport: HttpTransport) -> Opened:
    def make(*guardrails: dict[str, Any]) -> tuple[Engine, ScriptedProvider]:
        settings = msgspec.convert({"guardrails": guardrails}, AccessSettings)
        assert list(settings.problems()) == []
        provider = ScriptedProvider()
        engine = Engine(
            Router([provider], default_model="scripted/model"),
            RequestLimits(),
            PairScores(ScoreMemory(1 << 20, 3600)),
            inspect=Guardrails(settings.guardrails, transport).inspect,
        )
        return engine, provider

    return make


def pii(**settings: Any) -> dict[str, Any]:
    return {"name": "pii", "type": "patterns", **settings}


async def ask(engine: Engine, *documents: Any, query: str = "q", **fields: Any) -> RerankResponse:
    return await engine.rerank(
        RerankRequest(query=query, documents=list(documents), return_documents=True, **fields), CALL
    )


async def refusal(engine: Engine, *documents: Any, **fields: Any) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        await ask(engine, *documents, **fields)
    return caught.value


async def test_block_names_the_fields_and_never_the_text(opened: Opened) -> None:
    engine, provider = opened(pii())
    with capture_logs() as lines:
        error = await refusal(engine, "fine", f"mail {SECRET}", query=f"who is {SECRET}")
    assert (error.reason, error.http_status) == (Reason.GUARDRAIL_BLOCKED, 403)
    assert error.message == "guardrail pii refuses the call: email in query, documents[1]"
    assert [violation.field for violation in error.violations] == ["query", "documents[1]"]
    assert provider.calls == []
    assert [(line["event"], line["kinds"], line["texts"], line["key_id"]) for line in lines] == [
        ("guardrail_found", {"email": 2}, 2, "k1")
    ]
    assert SECRET not in repr((error, error.metadata, error.violations, lines))


async def test_masked_texts_go_out_and_the_callers_own_come_back(opened: Opened) -> None:
    engine, provider = opened(pii(mode="mask"))
    documents = [f"mail {SECRET}", "fine", Document(text="", fields={"to": SECRET, "body": "x"})]
    answer = await ask(engine, *documents, query=f"about {SECRET}", instruction=f"prefer {SECRET}")
    [call] = provider.calls
    assert SECRET not in repr(call)
    assert call.query == "about <EMAIL>"
    assert call.documents[0] == "mail <EMAIL>"
    texts = {result.index: result.document for result in answer.results}
    assert texts[0] is not None
    assert texts[0].text == f"mail {SECRET}"
    assert texts[2] is not None
    assert texts[2].fields == {"to": SECRET, "body": "x"}
    assert answer.meta is not None
    assert "guardrail pii: 4 email masked" in answer.meta.warnings


async def test_what_was_changed_is_told_by_its_index(transport: HttpTransport) -> None:
    """The run log keeps nothing else of these documents, whatever was left out before them."""
    found = [pii(mode="drop", reads=["documents"], kinds=["card"]), pii(name="mail", mode="mask", kinds=["email"])]
    settings = msgspec.convert({"guardrails": found}, AccessSettings)
    documents: list[str | Document] = [
        "card 4111 1111 1111 1111",
        "fine",
        f"mail {SECRET}",
        Document(fields={"to": SECRET}),
    ]
    rendered = await render(RerankRequest(query=SECRET, documents=documents))
    assert rendered.changed_indices == ()

    changed = await Guardrails(settings.guardrails, transport).inspect(rendered, CALL, "model")

    assert (list(changed.indices), set(changed.changed_indices)) == ([1, 2, 3], {2, 3})


async def test_masked_and_other_texts_do_not_share_cached_scores(opened: Opened) -> None:
    engine, provider = opened(pii(mode="mask"))
    await ask(engine, f"mail {SECRET}")
    await ask(engine, "mail someone else")
    await ask(engine, "mail other@example.org")
    assert [call.documents for call in provider.calls] == [["mail <EMAIL>"], ["mail someone else"]]


async def test_drop_leaves_documents_out(opened: Opened) -> None:
    engine, provider = opened(pii(mode="drop", reads=["documents"]))
    answer = await ask(engine, "a", f"b {SECRET}", "ccc")
    assert [result.index for result in answer.results] == [2, 0]
    assert provider.calls[0].documents == ["a", "ccc"]
    assert answer.meta is not None
    assert answer.meta.warnings == ["guardrail pii: 1 email left out"]
    assert (await refusal(engine, SECRET)).reason is Reason.GUARDRAIL_BLOCKED


async def test_log_changes_nothing(opened: Opened) -> None:
    engine, provider = opened(pii(mode="log"))
    with capture_logs() as lines:
        await ask(engine, SECRET)
    assert provider.calls[0].documents == [SECRET]
    assert [line["event"] for line in lines] == ["guardrail_found"]


@pytest.mark.parametrize(
    ("only", "is_read"),
    [
        ({"models": ["other/*"]}, False),
        ({"models": ["scripted/*"]}, True),
        ({"keys": ["k2"]}, False),
        ({"keys": ["k*"]}, True),
        ({"reads": ["query"]}, False),
    ],
)
async def test_guardrails_may_be_for_some_calls_only(opened: Opened, only: dict[str, Any], is_read: bool) -> None:
    engine, _ = opened(pii(**only))
    if is_read:
        await refusal(engine, SECRET)
    else:
        await ask(engine, SECRET)


async def test_each_reads_what_those_before_have_left(opened: Opened) -> None:
    engine, provider = opened(pii(mode="mask"), {"name": "words", "type": "words", "deny": ["jane"]})
    await ask(engine, SECRET)
    assert provider.calls[0].documents == ["<EMAIL>"]


def verdict(**answer: Any) -> ScriptedResponse:
    return ScriptedResponse.of_json(answer)


async def test_a_hook_is_asked_once_for_a_call(opened: Opened) -> None:
    def respond(_request: Received) -> ScriptedResponse:
        return verdict(action="modify", query="new q", documents={"1": "new text"})

    async with LoopbackServer(respond) as server:
        engine, provider = opened({"name": "hook", "type": "http", "url": server.url, "headers": {"x-key": "s"}})
        answer = await ask(engine, "a", "b", "c")
        [received] = server.received
    assert json.loads(received.body) == {
        "request_id": "r1",
        "model": "scripted/model",
        "caller": {"key_id": "k1", "groups": []},
        "query": "q",
        "documents": ["a", "b", "c"],
    }
    assert received.headers["x-key"] == "s"
    assert (provider.calls[0].query, provider.calls[0].documents) == ("new q", ["a", "new text", "c"])
    assert {result.document.text for result in answer.results if result.document} == {"a", "b", "c"}


async def test_a_hook_may_block(opened: Opened) -> None:
    async with LoopbackServer(lambda _: verdict(action="block", reason="not today")) as server:
        engine, provider = opened({"name": "hook", "type": "http", "url": server.url})
        error = await refusal(engine, "a")
    assert (error.reason, error.message) == (Reason.GUARDRAIL_BLOCKED, "guardrail hook refuses the call: not today")
    assert provider.calls == []


@pytest.mark.parametrize(
    "answer",
    [
        ScriptedResponse.of_json({"message": "broken"}, status=500),
        verdict(action="perhaps"),
        verdict(action="modify", documents={"7": "x"}),
        verdict(action="modify", query=" "),
        ScriptedResponse(body=b'{"action": "\xff"}'),
        ScriptedResponse(body=b'{"action": ' + b"[" * 100_000),
        ScriptedResponse(body=b"never whole", stalls_after_bytes=-1),
        None,
    ],
    ids=["500", "no verdict", "no such document", "blank query", "no UTF-8", "too deep", "silence", "closed port"],
)
@pytest.mark.parametrize("fail_mode", ["open", "closed"])
async def test_a_hook_that_fails(opened: Opened, answer: ScriptedResponse | None, fail_mode: str) -> None:
    async with LoopbackServer(lambda _: answer or verdict(action="allow")) as server:
        url = server.url if answer else "http://127.0.0.1:1"
        engine, provider = opened(
            {"name": "hook", "type": "http", "url": url, "timeout_ms": 200, "fail_mode": fail_mode}
        )
        if fail_mode == "open":
            await ask(engine, "a")
            assert len(provider.calls) == 1
        else:
            error = await refusal(engine, "a")
            assert (error.reason, error.http_status) == (Reason.GUARDRAIL_UNAVAILABLE, 503)
            assert provider.calls == []
