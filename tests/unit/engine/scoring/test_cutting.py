"""Documents cut for servers that refuse what is longer than their window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.messages import Document, RerankRequest, RerankResponse, Truncation
from rerankd.engine.scoring.tokens import CAUTIOUS, counter_for
from rerankd_adapters.base import AdapterError, AdapterErrorKind, Capabilities, ProviderCall, ProviderReply, Scoring
from tests.support.engines import engine
from tests.support.providers import FACTS, Answer, ScriptedProvider, by_length

CALL = CallContext(request_id="r1")
WINDOW = 64
REFUSES = replace(FACTS, truncates=False, max_tokens_per_document=WINDOW)
LONG = " ".join(f"word{number}" for number in range(200))


def refusing(most_chars: int, told: int = WINDOW) -> Answer:
    """Answer like llama.cpp: one pair that is too long fails the call."""

    async def answer(call: ProviderCall) -> ProviderReply:
        if any(len(call.query) + len(text) > most_chars for text in call.documents):
            raise AdapterError(AdapterErrorKind.REJECTED, "too large to process", status=500, max_tokens=told)
        return await by_length(call)

    return answer


async def ask(provider: ScriptedProvider, documents: Sequence[Any], model: Any = None, **fields: Any) -> RerankResponse:
    models = {"search": {"deployments": [{"model": "scripted/model"}], **(model or {})}}
    request = RerankRequest(**{"model": "search", "query": "q", "documents": [*documents], **fields})
    return await engine([provider], models).rerank(request, CALL)


def warnings(response: RerankResponse) -> list[str]:
    assert response.meta is not None
    return list(response.meta.warnings)


async def test_documents_are_cut_to_the_window_and_listed() -> None:
    provider = ScriptedProvider(facts=REFUSES)
    response = await ask(provider, ["short", LONG, "x", LONG])
    (call,) = provider.calls
    assert (call.documents[0], call.documents[2]) == ("short", "x")
    assert all(LONG.startswith(call.documents[index]) and len(call.documents[index]) < len(LONG) for index in (1, 3))
    assert CAUTIOUS.count(call.documents[1]) <= WINDOW - CAUTIOUS.count("q")
    assert warnings(response) == ["documents were cut to about 55 tokens (the window of search): 2 of 4, at index 1, 3"]


async def test_the_end_is_kept_with_truncation_start() -> None:
    provider = ScriptedProvider(facts=REFUSES)
    await ask(provider, [LONG], truncation=Truncation.START)
    assert LONG.endswith(provider.calls[0].documents[0])
    assert (len(provider.calls[0].documents[0]) < len(LONG), provider.calls[0].truncation) == (True, None)


@pytest.mark.parametrize(("limit", "cut_to"), [(20, 20), (500, 55)])
async def test_the_lower_of_window_and_max_tokens_per_doc_holds(limit: int, cut_to: int) -> None:
    provider = ScriptedProvider(facts=REFUSES)
    response = await ask(provider, [LONG], max_tokens_per_doc=limit)
    assert CAUTIOUS.count(provider.calls[0].documents[0]) <= cut_to
    assert provider.calls[0].max_tokens_per_doc is None
    assert f"about {cut_to} tokens" in warnings(response)[0]


async def test_max_tokens_per_doc_holds_without_a_known_window() -> None:
    provider = ScriptedProvider(facts=replace(REFUSES, max_tokens_per_document=None))
    response = await ask(provider, [LONG, "a"], max_tokens_per_doc=10)
    assert CAUTIOUS.count(provider.calls[0].documents[0]) <= 10
    assert "(max_tokens_per_doc): 1 of 2, at index 0" in warnings(response)[0]


async def test_an_unknown_window_is_learnt_from_the_refusal() -> None:
    provider = ScriptedProvider(facts=replace(REFUSES, max_tokens_per_document=None), model=refusing(250))
    response = await ask(provider, ["a", LONG])
    assert [len(call.documents[1]) < 250 for call in provider.calls] == [False, True]
    assert len(warnings(response)) == 1
    assert [result.index for result in response.results] == [1, 0]


async def test_a_low_estimate_is_corrected_by_halving() -> None:
    provider = ScriptedProvider(facts=REFUSES, model=refusing(60))
    response = await ask(provider, [LONG])
    assert (len(provider.calls), len(provider.calls[-1].documents[0]) < 60) == (2, True)
    assert len(warnings(response)) == 1


async def test_refusals_are_bounded() -> None:
    provider = ScriptedProvider(facts=REFUSES, model=refusing(0))
    with pytest.raises(ServiceError) as raised:
        await ask(provider, [LONG])
    assert (raised.value.reason, len(provider.calls)) == (Reason.PROVIDER_REJECTED_REQUEST, 4)


@pytest.mark.parametrize(
    ("model", "fields"), [({"cut_long_documents": False}, {}), ({}, {"truncation": Truncation.NONE})]
)
async def test_nothing_is_cut_when_that_is_not_wanted(model: Any, fields: Any) -> None:
    provider = ScriptedProvider(facts=REFUSES, model=refusing(250))
    with pytest.raises(ServiceError) as raised:
        await ask(provider, [LONG], model, **fields)
    assert (raised.value.reason, len(provider.calls)) == (Reason.PROVIDER_REJECTED_REQUEST, 1)
    assert provider.calls[0].documents == [LONG]


@pytest.mark.parametrize(
    "facts",
    [
        replace(REFUSES, truncates=True),
        replace(REFUSES, truncates=None),
        replace(REFUSES, scoring=Scoring.LISTWISE),
    ],
)
async def test_other_servers_get_whole_documents(facts: Capabilities) -> None:
    provider = ScriptedProvider(facts=facts)
    response = await ask(provider, [LONG])
    assert (provider.calls[0].documents, warnings(response)) == ([LONG], [])


async def test_the_query_stays_whole_while_documents_have_room() -> None:
    provider = ScriptedProvider(facts=REFUSES)
    query = "a query of a few words that takes a part of the window " * 2
    await ask(provider, [LONG], query=query)
    assert (provider.calls[0].query, len(provider.calls[0].documents[0]) > 10) == (query, True)


async def test_a_query_that_fills_the_window_is_cut_to_half_of_it() -> None:
    provider = ScriptedProvider(facts=REFUSES)
    response = await ask(provider, [LONG, LONG], query=LONG)
    (call,) = provider.calls
    assert (LONG.startswith(call.query), CAUTIOUS.count(call.query) <= WINDOW // 2) == (True, True)
    assert CAUTIOUS.count(call.query) + CAUTIOUS.count(call.documents[0]) < WINDOW
    assert warnings(response)[0].startswith("the query was cut")


async def test_an_object_that_is_cut_is_sent_as_text() -> None:
    provider = ScriptedProvider(facts=replace(REFUSES, takes_objects=True))
    documents = [Document(fields={"title": "t", "body": LONG}), Document(fields={"title": "t", "body": "b"})]
    await ask(provider, documents, rank_fields=["title", "body"])
    (call,) = provider.calls
    assert call.objects is not None
    assert [each is None for each in call.objects] == [True, False]
    assert call.documents[0].startswith("title: t\nbody: word0")


async def test_passages_are_cut_from_whole_documents() -> None:
    provider = ScriptedProvider(facts=REFUSES)
    response = await ask(provider, [LONG, "a"], max_chunks_per_doc=100, truncation=Truncation.END)
    sent = [text for call in provider.calls for text in call.documents]
    assert len(sent) > 10
    assert all(CAUTIOUS.count(text) <= WINDOW for text in sent)
    assert (sent[-2].endswith("word199"), warnings(response)) == (True, [])


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("word", 2), ("1234", 3), ("a-b", 2), ("слово", 5), ("北京", 3), ("서울", 4), ("\U0001f600", 3)],
)
def test_cautious_tokens_by_script(text: str, tokens: int) -> None:
    assert counter_for(Capabilities(truncates=False)).count(text) == tokens
