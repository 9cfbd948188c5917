"""Calls held to limits and budgets: a real engine of scripted providers over a ledger in a file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rerankd.access.limits.ledger import Lease, LedgerUnavailableError
from rerankd.access.limits.limited_service import LimitedService, limits_of
from rerankd.access.limits.local_ledger import LocalLedger
from rerankd.access.limits.settings import LedgerSettings, LimitSettings
from rerankd.contract.call_context import CallContext, Caller
from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.messages import RerankRequest, RerankResponse, WarmDocumentsRequest
from rerankd.telemetry.calls.recorder import Recorder
from rerankd.telemetry.calls.recording import RecordedService
from rerankd_adapters.base import AdapterErrorKind, ModelInfo, Price, ProviderCall, ProviderReply
from tests.support.engines import engine, failing, hanging
from tests.support.providers import Answer, ScriptedProvider, by_length

Make = Callable[..., RecordedService]


class Priced(ScriptedProvider):
    """A provider that takes a dollar for each call."""

    def describe(self, model: str) -> ModelInfo | None:
        info = super().describe(model)
        return (
            None
            if info is None
            else replace(info, price=Price(model="*", unit="call", usd_per_million=1_000_000, source="", date=""))
        )


async def billed(call: ProviderCall) -> ProviderReply:
    return msgspec.structs.replace(await by_length(call), cost_usd=1.0)


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[LocalLedger]:
    opened = LocalLedger(tmp_path / "limits.counts", 1)
    await opened.start()
    yield opened
    await opened.close()


@pytest.fixture
def make(ledger: LocalLedger) -> Make:
    def made(*limits: dict[str, Any], answer: Answer = billed, over: Any = None, **options: Any) -> RecordedService:
        served = engine([Priced("scripted", model=answer, other=answer)])
        current = limits_of(
            msgspec.convert(
                [{"name": f"l{number}", **each} for number, each in enumerate(limits)], list[LimitSettings]
            ),
            msgspec.convert(options, LedgerSettings),
        )
        return RecordedService(LimitedService(served, lambda: current, over or ledger, served), Recorder())

    return made


def call(key_id: str = "", groups: tuple[str, ...] = ()) -> CallContext:
    return CallContext(request_id="r", caller=Caller(key_id=key_id, groups=groups))


async def ask(
    service: RecordedService, documents: int = 2, by: CallContext | None = None, **fields: Any
) -> RerankResponse:
    request = RerankRequest(query="q", documents=["d"] * documents, **fields)
    return await service.rerank(request, by or call())


async def refusal(
    service: RecordedService, documents: int = 2, by: CallContext | None = None, **fields: Any
) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        await ask(service, documents, by, **fields)
    return caught.value


async def test_calls_and_documents_of_a_minute(make: Make) -> None:
    service = make({"calls_per_minute": 3}, {"documents_per_minute": 10})
    await ask(service, 4)
    await ask(service, 6)
    error = await refusal(service, 1)
    assert error.reason is Reason.RATE_LIMITED
    assert error.metadata == {
        "limit": "l1",
        "quantity": "documents_per_minute",
        "most": "10",
        "used": "10",
        "amount": "1",
    }
    assert error.message == "limit l1: 10 of 10 documents_per_minute are used or reserved, and this call needs 1"
    assert error.retry_after_s is not None
    assert error.response_metadata["ratelimit-remaining"] == "0"


async def test_documents_to_warm_count_as_documents_to_rank(make: Make) -> None:
    service = make({"documents_per_minute": 5})
    with pytest.raises(ServiceError) as refused:
        await service.warm_documents(WarmDocumentsRequest(documents=["d"] * 6), call())
    assert refused.value.reason is Reason.RATE_LIMITED
    # What fails is not charged: the scripted provider keeps no vectors.
    with pytest.raises(ServiceError) as failed:
        await service.warm_documents(WarmDocumentsRequest(documents=["d"] * 5), call())
    assert failed.value.reason is Reason.CAPABILITY_UNSUPPORTED
    await ask(service, 5)


async def test_an_answer_tells_what_is_left_of_the_tightest_limit(make: Make) -> None:
    by = call()
    await ask(make({"calls_per_minute": 100}, {"documents_per_minute": 10}), 4, by)
    assert by.response_metadata["ratelimit-limit"] == "10"
    assert by.response_metadata["ratelimit-remaining"] == "6"
    assert 0 < int(by.response_metadata["ratelimit-reset"]) <= 60


async def test_a_call_larger_than_its_limit_is_told_so(make: Make) -> None:
    error = await refusal(make({"documents_per_minute": 10}), 11)
    assert (error.retry_after_s, error.is_final) == (None, True)
    assert error.message.endswith("it is more than the limit allows at all: send fewer documents")


@pytest.mark.parametrize(
    ("limit", "same", "other"),
    [
        ({"per": "key"}, (call("a"), {}), (call("b"), {})),
        ({"per": "group"}, (call(groups=("x", "y")), {}), (call(groups=("z",)), {})),
        ({"per": "user"}, (call(), {"user": "u" * 200}), (call(), {"user": "u" * 199})),
        ({"per": "model"}, (call(), {}), (call(), {"model": "scripted/other"})),
    ],
)
async def test_each_has_its_own(make: Make, limit: dict[str, str], same: Any, other: Any) -> None:
    service = make({**limit, "calls_per_minute": 1})
    await ask(service, by=same[0], **same[1])
    assert (await refusal(service, by=same[0], **same[1])).message.startswith(
        "limit l0: 1 of 1 calls_per_minute of this"
    )
    await ask(service, by=other[0], **other[1])


async def test_a_limit_may_be_for_some_only(make: Make) -> None:
    service = make({"per": "key", "match": "batch-*", "calls_per_minute": 1})
    await ask(service, by=call("batch-1"))
    await refusal(service, by=call("batch-1"))
    for _ in range(3):
        await ask(service, by=call("live-1"))


async def test_calls_at_once(make: Make) -> None:
    free = asyncio.Event()

    async def slowly(asked: ProviderCall) -> ProviderReply:
        await free.wait()
        return await by_length(asked)

    service = make({"concurrent_calls": 2}, answer=slowly)
    running = [asyncio.create_task(ask(service)) for _ in range(2)]
    await asyncio.sleep(0)
    assert (await refusal(service)).retry_after_s == 1
    free.set()
    await asyncio.gather(*running)
    await ask(service)


async def test_a_budget_is_never_overrun_by_calls_at_once(make: Make) -> None:
    sent = 0

    async def answer(asked: ProviderCall) -> ProviderReply:
        nonlocal sent
        sent += 1
        await asyncio.sleep(0.001)
        return await billed(asked)

    service = make({"budgets": [{"usd": 20}]}, answer=answer)
    outcomes = await asyncio.gather(*(ask(service) for _ in range(50)), return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, ServiceError)]
    assert (sent, len(refused)) == (20, 30)
    assert {error.reason for error in refused} == {Reason.BUDGET_EXCEEDED}
    assert refused[0].message == (
        "limit l0: $20 of $20 per_calendar_month are used or reserved, and this call needs $1"
    )


async def test_a_soft_budget_warns(make: Make) -> None:
    service = make({"budgets": [{"usd": 3, "soft_usd": 1, "per": "day", "window": "rolling"}]})
    first, second = await ask(service), await ask(service)
    assert first.meta is not None
    assert second.meta is not None
    assert not first.meta.warnings
    assert second.meta.warnings == [
        "budget l0: $2 are used or reserved, more than the soft limit of $1; calls are refused at $3"
    ]


@pytest.mark.parametrize(
    ("answer", "left"),
    [(failing(AdapterErrorKind.REJECTED), 2), (failing(AdapterErrorKind.UNAVAILABLE), 2), (hanging, 1)],
)
async def test_what_a_failed_call_may_cost_is_charged_and_no_more(
    make: Make, ledger: LocalLedger, answer: Answer, left: int
) -> None:
    begun = asyncio.Event()

    async def noted(asked: ProviderCall) -> ProviderReply:
        begun.set()
        return await answer(asked)

    service = make({"budgets": [{"usd": 2}]}, answer=noted)
    running = asyncio.create_task(ask(service))
    if answer is hanging:
        await begun.wait()
        running.cancel()
    with pytest.raises((ServiceError, asyncio.CancelledError)):
        await running
    healthy = make({"budgets": [{"usd": 2}]})
    for _ in range(left):
        await ask(healthy)
    await refusal(healthy)


async def test_a_wrong_model_counts_as_a_call(make: Make) -> None:
    service = make({"calls_per_minute": 1})
    assert (await refusal(service, model="nobody/knows")).reason is Reason.MODEL_NOT_FOUND
    assert (await refusal(service)).reason is Reason.RATE_LIMITED


class Away(LocalLedger):
    """A ledger that does not answer."""

    async def acquire(self, charges: Any) -> Lease:
        raise LedgerUnavailableError("away")


@pytest.mark.parametrize(("mode", "reason"), [("open", None), ("closed", Reason.LIMITS_UNAVAILABLE)])
async def test_what_happens_while_the_ledger_is_away(make: Make, mode: str, reason: Reason | None) -> None:
    service = make({"calls_per_minute": 1}, over=Away(Path("/nowhere"), 1), fail_mode=mode)
    for _ in range(3):
        if reason is None:
            await ask(service)
        else:
            error = await refusal(service)
            assert (error.reason, error.http_status, error.retry_after_s) == (reason, 503, 1.0)


@pytest.mark.parametrize(
    ("limit", "problem"),
    [
        ({}, "access.limits[0] limits nothing: set calls_per_minute"),
        ({"calls_per_minute": 0}, "access.limits[0].calls_per_minute must be at least 1, is 0"),
        ({"name": "a:b", "calls_per_minute": 1}, "access.limits[0].name must have 1 to 64 characters and no colon"),
        ({"match": "x", "calls_per_minute": 1}, "access.limits[0].match needs per"),
        ({"budgets": [{"usd": -1}]}, "access.limits[0].budgets[0].usd must be above 0, is -1"),
        ({"budgets": [{"usd": 1, "soft_usd": 2}]}, "access.limits[0].budgets[0].soft_usd must be above 0 and at most"),
        ({"budgets": [{"usd": 1}, {"usd": 2}]}, "access.limits[0].budgets[1] is a second calendar budget per month"),
    ],
)
def test_bad_limits_are_named(limit: dict[str, Any], problem: str) -> None:
    [found] = msgspec.convert({"name": "a", **limit}, LimitSettings).problems("access.limits[0]")
    assert found.startswith(problem)
