"""Balancer: the strategies."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from rerankd.engine.routing.balancing import Balancer
from rerankd.engine.routing.deployment import Deployment
from rerankd.engine.routing.settings import Balancing
from rerankd_adapters.base import ModelInfo, Price, ProviderCall
from tests.support.engines import Clock, deployment
from tests.support.providers import FACTS, ScriptedProvider

CALL = ProviderCall(model="model", query="q", documents=["a"])
STRATEGIES: tuple[Balancing, ...] = ("weighted", "least-in-flight", "latency", "usage", "cost")


def several(*weights: float, clock: Clock | None = None, **options: Any) -> list[Deployment]:
    return [
        deployment(clock=clock, name=chr(ord("a") + place), weight=weight, **options)
        for place, weight in enumerate(weights)
    ]


def names(balancer: Balancer, candidates: Sequence[Deployment], count: int) -> str:
    return "".join(balancer.choose(candidates).name for _ in range(count))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_weight_zero_is_for_when_there_is_nobody_else(strategy: Balancing) -> None:
    balancer = Balancer(strategy)
    spare, usual, other = several(0, 1, 1)
    assert "a" not in names(balancer, [spare, usual, other], 50)
    assert names(balancer, [spare], 3) == "aaa"
    assert set(names(balancer, several(0, 0), 50)) == {"a", "b"}


def test_turns_in_proportion_are_spread_evenly() -> None:
    taken = names(Balancer("weighted"), several(5, 1, 1), 7)
    assert taken == "aabacaa"
    assert names(Balancer("weighted"), several(1, 1, 1), 6) == "abcabc"


def test_any_stretch_of_turns_is_close_to_the_weights() -> None:
    candidates = several(3, 2, 1)
    taken = names(Balancer("weighted"), candidates, 600)
    assert Counter(taken) == {"a": 300, "b": 200, "c": 100}
    for start in range(0, 590):
        window = Counter(taken[start : start + 6])
        assert abs(window["a"] - 3) <= 1
        assert window["c"] <= 2


def test_turns_stay_fair_when_candidates_come_and_go() -> None:
    balancer = Balancer("weighted")
    a, b, c = several(1, 1, 1)
    names(balancer, [a, b], 100)
    assert Counter(names(balancer, [a, b, c], 300)) == {"a": 100, "b": 100, "c": 100}


async def test_the_fewest_under_way_for_its_weight() -> None:
    a, b = several(1, 4)
    for each, count in ((a, 1), (b, 3)):
        for _ in range(count):
            await each.limiter.acquire(0)
    balancer = Balancer("least-in-flight")
    assert balancer.choose([a, b]) is b
    await b.limiter.acquire(0)
    await b.limiter.acquire(0)
    assert balancer.choose([a, b]) is a


def test_equals_take_turns() -> None:
    assert Counter(names(Balancer("least-in-flight"), several(1, 1, 1), 9)) == {"a": 3, "b": 3, "c": 3}


async def test_of_two_at_random_the_one_that_would_answer_sooner() -> None:
    clock = Clock()
    fast, slow, busy = several(1, 1, 1, clock=clock)
    fast.latency.observe(0.1)
    slow.latency.observe(1.0)
    busy.latency.observe(0.1)
    for _ in range(5):
        await busy.limiter.acquire(0)
    balancer = Balancer("latency")
    taken = Counter(names(balancer, [fast, slow, busy], 300))
    assert taken["a"] > taken["c"] > 0
    assert "b" not in taken


def test_two_different_ones_are_compared_whatever_the_dice_say() -> None:
    for first in range(3):
        for second in range(2):
            dice = iter([first, second])
            balancer = Balancer("latency", pick=lambda _below, dice=dice: next(dice))  # type: ignore[misc]  # bound now
            candidates = several(1, 1, 1)
            for place, each in enumerate(candidates):
                each.latency.observe(place + 1.0)
            best = min(first, (first + 1 + second) % 3)
            assert (first + 1 + second) % 3 != first
            assert balancer.choose(candidates) is candidates[best]


async def test_usage_takes_the_least_used_of_its_own_limits() -> None:
    clock = Clock()
    small = deployment(clock=clock, name="small", requests_per_minute=10)
    large = deployment(clock=clock, name="large", requests_per_minute=100)
    balancer = Balancer("usage")
    taken: Counter[str] = Counter()
    for _ in range(88):
        chosen = balancer.choose([small, large])
        await chosen.call(CALL, 0, None)
        taken[chosen.name] += 1
    assert taken["small"] == 8
    assert small.rate_wait_s(0) == 0.0
    unlimited = deployment(clock=clock, name="unlimited")
    assert balancer.choose([small, large, unlimited]) is unlimited


class Priced(ScriptedProvider):
    def __init__(self, name: str, unit: str = "", usd: float = 0.0) -> None:
        super().__init__(name)
        self._price = Price(model="*", unit=unit, usd_per_million=usd, source="", date="") if unit else None

    def describe(self, model: str) -> ModelInfo | None:
        return replace(ModelInfo(model, FACTS), price=self._price)


def test_cost_takes_the_cheapest_free_ones_first_unknown_ones_last() -> None:
    balancer = Balancer("cost")
    unknown, local = deployment(Priced("unknown")), deployment(Priced("local"))
    token, search = deployment(Priced("t", "token", 0.5)), deployment(Priced("s", "search_unit", 2000.0))
    assert balancer.choose([unknown, search, token, local]) is local
    assert balancer.choose([unknown, search, token]) is search
    assert balancer.choose([unknown, token]) is token
    assert balancer.choose([token, deployment(Priced("c", "call", 2000.0), name="c")]).name == "c"
    assert balancer.choose([unknown]) is unknown
    assert len({balancer.choose([unknown, deployment(Priced("other"), name="other")]).name for _ in range(4)}) == 2
