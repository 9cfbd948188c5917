"""Budgets of providers: a real engine of two providers for one model, over a ledger in a file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rerankd.access.limits.local_ledger import LocalLedger
from rerankd.access.limits.provider_budgets import ProviderBudgets
from rerankd.access.limits.settings import BudgetSettings
from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.messages import RerankRequest
from rerankd.engine.pipeline import Engine
from rerankd.engine.routing.circuit_breaker import CircuitBreaker
from rerankd.engine.routing.settings import CircuitBreakerSettings
from rerankd.telemetry.calls.recorder import Recorder
from rerankd.telemetry.calls.recording import RecordedService
from rerankd_adapters.base import AdapterError, AdapterErrorKind, ProviderCall, ProviderReply
from tests.support.engines import Clock, engine
from tests.support.providers import ScriptedProvider, by_length
from tests.support.waiting import until

CALL = CallContext(request_id="r")


async def billed(call: ProviderCall) -> ProviderReply:
    return msgspec.structs.replace(await by_length(call), cost_usd=1.0)


class Host:
    """A recorded engine with budgets that a test may change."""

    def __init__(self, ledger: LocalLedger, **models: Any) -> None:
        self.providers = [ScriptedProvider("dear", model=billed), ScriptedProvider("cheap", model=by_length)]
        self.engine: Engine = engine(self.providers, models or None)
        self.budgets: dict[str, list[BudgetSettings]] = {"dear": [BudgetSettings(usd=3, per="day")]}
        self.guard = ProviderBudgets(ledger, lambda: self.budgets, self.engine.deployments)
        recorder = Recorder(delay_s=0.001)
        recorder.add(self.guard)
        self.service = RecordedService(self.engine, recorder)

    async def ask(self, model: str) -> str:
        response = await self.service.rerank(RerankRequest(model=model, query="q", documents=["a"]), CALL)
        assert response.extra_fields is not None
        return response.extra_fields.provider

    def is_out(self, provider: str) -> bool:
        return all(each.breaker.is_open for each in self.engine.deployments() if each.provider.name == provider)


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[LocalLedger]:
    opened = LocalLedger(tmp_path / "limits.counts", 1)
    await opened.start()
    yield opened
    await opened.close()


@pytest.fixture
async def host(ledger: LocalLedger) -> AsyncIterator[Host]:
    shared = {
        "deployments": [{"model": "dear/model", "weight": 1000}, {"model": "cheap/model"}],
        "balancing": "weighted",
    }
    opened = Host(ledger, shared=shared)
    opened.guard.start()
    yield opened
    await opened.guard.close()


async def test_a_provider_that_has_spent_its_budget_is_passed_over(host: Host) -> None:
    async with asyncio.timeout(10):
        while not host.is_out("dear") or not list(host.engine.deployments()):
            await host.ask("shared")
            await asyncio.sleep(0.002)
    sent = len(host.providers[0].calls)
    assert sent >= 3
    assert [await host.ask("shared") for _ in range(20)] == ["cheap"] * 20
    assert len(host.providers[0].calls) == sent


async def test_a_model_without_another_way_says_why_it_fails(host: Host) -> None:
    for _ in range(3):
        await host.ask("dear/model")
    await until(lambda: host.is_out("dear"))
    with pytest.raises(ServiceError, match=r"dear is over its budget: \$3 of \$3 are spent") as caught:
        await host.ask("dear/model")
    assert caught.value.reason is Reason.NO_HEALTHY_DEPLOYMENT


async def test_a_larger_budget_brings_it_back(host: Host) -> None:
    for _ in range(3):
        await host.ask("dear/model")
    await until(lambda: host.is_out("dear"))
    host.budgets = {"dear": [BudgetSettings(usd=30, per="day")]}
    async with asyncio.timeout(15):
        while host.is_out("dear"):
            await asyncio.sleep(0.05)
    assert await host.ask("dear/model") == "dear"


async def test_what_others_have_spent_counts(ledger: LocalLedger, host: Host, tmp_path: Path) -> None:
    for _ in range(3):
        await host.ask("dear/model")
    await until(lambda: host.is_out("dear"))
    other = Host(LocalLedger(tmp_path / "limits.counts", 1))
    await other.ask("dear/model")
    other.guard.start()
    await until(lambda: other.is_out("dear"))
    await other.guard.close()


def test_a_suspended_breaker_stays_open_whatever_comes() -> None:
    clock = Clock()
    breaker = CircuitBreaker(CircuitBreakerSettings(), clock, lambda: 0.5)
    breaker.suspend(AdapterError(AdapterErrorKind.UNAVAILABLE, "spent"), 4)
    breaker.succeed()
    breaker.fail(AdapterError(AdapterErrorKind.UNAVAILABLE, "down"))
    assert breaker.is_open
    clock.now_s += 5
    states = [breaker.is_open, breaker.begin()]
    breaker.succeed()
    assert [*states, breaker.is_tripped] == [False, True, False]
