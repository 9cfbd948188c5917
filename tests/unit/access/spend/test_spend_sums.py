"""Sums of ended calls: a real recorder over an engine of scripted providers."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from rerankd.access.spend.sums import OTHER, SpendAmounts, SpendKey, SpendSums
from rerankd.contract.call_context import ANONYMOUS, CallContext, Caller
from rerankd.contract.errors import ServiceError
from rerankd.contract.messages import RerankRequest, RerankResponse, Usage
from rerankd.telemetry.calls.call_record import CallRecord
from rerankd.telemetry.calls.recorder import EndedBatch, Recorder
from rerankd.telemetry.calls.recording import RecordedService
from rerankd_adapters.base import (
    AdapterError,
    AdapterErrorKind,
    Capabilities,
    ProviderCall,
    ProviderReply,
    ScoreSpace,
    Scoring,
)
from tests.support.engines import engine, failing, hanging
from tests.support.providers import Answer, ScriptedProvider, by_length
from tests.support.waiting import settle

NOW_S = 1_795_910_400.0
DAY = "2026-11-29"


class Book:
    """A sink that adds up calls at a time of the test's choosing."""

    name = "book"
    needs_texts = None
    is_prompt = True

    def __init__(self, **bounds: int) -> None:
        self.sums = SpendSums(**{"max_names": 100, **bounds})
        self.now_s = NOW_S

    def consume(self, batch: EndedBatch) -> None:
        for record in batch.calls:
            self.sums.add_call(record, self.now_s)
        for attempt in batch.late_attempts:
            assert isinstance(attempt.late_for, CallRecord)
            self.sums.add_late(attempt, attempt.late_for, self.now_s)


async def billed(call: ProviderCall) -> ProviderReply:
    reply = await by_length(call)
    return msgspec.structs.replace(reply, cost_usd=0.25, search_units=1, prompt_tokens=10, completion_tokens=2)


def service(book: Book, models: dict[str, Any] | None = None, **answers: Answer) -> RecordedService:
    providers = [ScriptedProvider(name, model=answer) for name, answer in answers.items()]
    return RecordedService(engine(providers, models), Recorder([book]))


async def ask(asked: RecordedService, caller: Caller = ANONYMOUS, **fields: Any) -> None:
    request = RerankRequest(query="q", **{"documents": ["a", "b"], **fields})
    await asked.rerank(request, CallContext("r", caller=caller))


def of(key_id: str = "", group: str = "", user: str = "", model: str = "paid/model", **more: Any) -> SpendKey:
    return SpendKey(more.get("day", DAY), key_id, group, more.get("is_first_group", True), user, model)


async def test_calls_are_summed_by_key_group_user_and_model() -> None:
    book = Book()
    asked = service(book, paid=billed, local=by_length)
    for user in ("u1", "u1", "u2"):
        await ask(asked, Caller(key_id="k", groups=("g",)), user=user)
    await ask(asked, Caller(identity="spiffe://a/b"), model="local/model")
    assert book.sums.take() == {
        of("k", "g", "u1"): SpendAmounts(2, 4, 24, 2, 0.5),
        of("k", "g", "u2"): SpendAmounts(1, 2, 12, 1, 0.25),
        of("spiffe://a/b", model="local/model"): SpendAmounts(1, 2, 2, 0, 0.0),
    }
    assert book.sums.take() == {}


async def test_a_price_that_is_not_known_is_said() -> None:
    book = Book()
    await ask(service(book, paid=by_length))
    assert book.sums.take() == {of(): SpendAmounts(1, 2, 2, 0, 0.0, unpriced_calls=1)}


async def test_a_caller_of_several_groups_counts_in_each() -> None:
    book = Book()
    await ask(service(book, paid=billed), Caller(key_id="k", groups=("a", "b", "a")))
    one = SpendAmounts(1, 2, 12, 1, 0.25)
    assert book.sums.take() == {of("k", "a"): one, of("k", "b", is_first_group=False): one}


async def test_a_fallback_costs_what_both_models_took() -> None:
    """A model that answers two chunks and fails at the third is paid for two, which no answer reports."""
    book = Book()

    async def two_of_three(call: ProviderCall) -> ProviderReply:
        if call.documents == ["z"]:
            await settle()
            raise AdapterError(AdapterErrorKind.UNAVAILABLE, "not z", status=503)
        return await billed(call)

    cut = Capabilities(scoring=Scoring.POINTWISE, score_space=ScoreSpace.PROBABILITY, max_documents=1)
    models = {
        "m": {"deployments": [{"model": "paid/model"}], "fallbacks": ["spare/model"], "retries": {"max_attempts": 1}}
    }
    providers = [ScriptedProvider("paid", cut, model=two_of_three), ScriptedProvider("spare", model=billed)]
    asked = RecordedService(engine(providers, models), Recorder([book]))
    await ask(asked, model="m", documents=["a", "b", "z"])
    assert book.sums.take() == {of(model="spare/model"): SpendAmounts(1, 3, 36, 3, 0.75)}


async def test_calls_that_reached_no_model_use_nothing() -> None:
    book = Book()
    asked = service(book, paid=billed)
    with pytest.raises(ServiceError):
        await ask(asked, model="nobody/made-up")
    with pytest.raises(ServiceError):
        await ask(asked, documents=[])
    assert book.sums.take() == {}


async def test_a_call_that_failed_at_a_provider_is_a_call_that_cost_nothing() -> None:
    book = Book()
    models = {"m": {"deployments": [{"model": "paid/model"}], "retries": {"max_attempts": 1}}}
    with pytest.raises(ServiceError):
        await ask(service(book, models, paid=failing()), model="m")
    assert book.sums.take() == {of(model="m"): SpendAmounts(calls=1)}


async def test_a_caller_who_leaves_is_a_call() -> None:
    book = Book()
    begun = asyncio.Event()

    async def hangs(asked: ProviderCall) -> ProviderReply:
        begun.set()
        return await hanging(asked)

    call = asyncio.create_task(ask(service(book, paid=hangs)))
    await begun.wait()
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    assert book.sums.take() == {of(): SpendAmounts(calls=1)}


async def test_names_that_callers_choose_are_bounded_in_number_and_length() -> None:
    book = Book(max_names=2)
    asked = service(book, paid=billed)
    long = "x" * 150
    for user in ("a", long, "c", "d", "a", ""):
        await ask(asked, user=user)
    found = {key.user: amounts.calls for key, amounts in book.sums.take().items()}
    assert set(found.values()) == {1, 2}
    assert (found["a"], found[OTHER], found[""]) == (2, 2, 1)
    (hashed,) = found.keys() - {"a", OTHER, ""}
    assert len(hashed) == 33
    book.now_s += 86_400
    await ask(asked, user="c")
    assert book.sums.take().keys() == {of(user="c", day="2026-11-30")}


async def test_rows_that_wait_are_bounded_and_nothing_is_lost() -> None:
    book = Book(max_rows=2)
    asked = service(book, paid=billed)
    for user in ("a", "b", "c", "d", "a"):
        await ask(asked, user=user)
    rows = book.sums.take()
    assert {key.user: amounts.calls for key, amounts in rows.items()} == {"a": 2, "b": 1, OTHER: 2}
    assert sum(amounts.cost_usd for amounts in rows.values()) == 1.25


def test_what_ends_after_its_call_counts_for_its_caller() -> None:
    book = Book()
    caller = Caller(key_id="k", groups=("g",))
    record = Recorder([book]).begin(RerankRequest(model="m", user="u"), CallContext("r", caller=caller))
    record.model = "m"
    with record.chunk(0, 1).attempt(("paid", "model", "paid/model"), 1, 1) as attempt:
        record.answered(RerankResponse(model="m", usage=Usage(documents=1)))
        attempt.reply = ProviderReply(indices=[0], scores=[1.0], cost_usd=0.25, prompt_tokens=9)
    assert book.sums.take() == {of("k", "g", "u", "m"): SpendAmounts(1, 1, 9, 0, 0.25)}
