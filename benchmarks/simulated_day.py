"""A day of 10,000 calls a second at its peak over twenty replicas, simulated with the real routing code.

    .venv/bin/python -m benchmarks.simulated_day          # some minutes; --seconds 0.5 for a quick look

Real are a replica's model group, balancer, circuit breakers, adaptive timeouts and retries. Simulated are time, the
three deployments of a provider that all replicas share (none is told what the others do), the CPU of a replica (one
worker, `CPU_S` a call, first come first served), and Envoy in front: of two replicas drawn at random the one with fewer
calls under way, and a lost call is sent to another. An hour is sampled by some seconds of its load.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from rerankd.contract.errors import ServiceError
from rerankd.engine.routing.chunk_executor import ChunkExecutor
from rerankd.engine.routing.deployment import Deployment
from rerankd.engine.routing.model_group import ModelGroup
from rerankd.engine.routing.settings import DeploymentSettings, ModelSettings
from rerankd_adapters.base import AdapterError, AdapterErrorKind, ProviderCall, ProviderReply
from tests.support.faults import percentile
from tests.support.providers import ScriptedProvider
from tests.support.virtual_time import VirtualTimeLoop, loop_time

PEAK_PER_S: Final = 10_000
REPLICAS: Final = 20
CPU_S: Final = 0.001
"""CPU of a call over gRPC with one provider call: 992 us measured by `make bench`."""
LATENCY_S: Final = 0.08
"""Median of the provider's."""
SEND_AGAIN: Final = 3
"""Times that Envoy sends a lost call again."""
OPTIONS: Final = {"balancing": "latency"}
EVENTS: Final = {
    8: "deployment b hangs",
    12: "deployment c refuses every second call (429)",
    16: "deployment a takes ten times as long",
    20: "two replicas are killed",
}
"""What begins in an hour. Deployments recover after two hours; replicas are killed in its middle, back at its end."""


@dataclass
class Upstream:
    """A deployment of the provider, shared by all replicas."""

    name: str
    draws: random.Random
    fault: str = ""
    calls: int = 0

    async def answer(self, _call: ProviderCall) -> ProviderReply:
        """Answer after a log-normal time, or as the fault says."""
        self.calls += 1
        is_refused = self.fault == "refuses" and self.calls % 2
        if self.fault == "hangs":
            await asyncio.sleep(3600)
        slow = 10 if self.fault == "slow" else 1
        await asyncio.sleep(slow * LATENCY_S * math.exp(self.draws.gauss(0, 0.3)))
        if is_refused:
            raise AdapterError(AdapterErrorKind.RATE_LIMITED, "too many requests")
        return ProviderReply(indices=(0,), scores=(1.0,))


@dataclass(eq=False)
class Replica:
    """One server: its own routing state and CPU."""

    group: ModelGroup
    is_alive: bool = True
    served: int = 0
    cpu_free_s: float = 0.0
    under_way: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self) -> None:
        """Use the CPU, call the provider through the real routing, use the CPU."""
        await self._compute()
        await ChunkExecutor(self.group, CALL, clock=loop_time).run()
        await self._compute()
        self.served += 1

    async def _compute(self) -> None:
        now_s = loop_time()
        self.cpu_free_s = max(now_s, self.cpu_free_s) + CPU_S / 2
        await asyncio.sleep(self.cpu_free_s - now_s)

    def kill(self) -> None:
        """Lose the calls under way."""
        self.is_alive = False
        for task in self.under_way:
            task.cancel()


_COLUMNS: Final = (
    "hour",
    "calls/s",
    "sampled",
    "failed",
    "p50 ms",
    "p99 ms",
    "more attempts %",
    "sent again",
    "busiest and idlest replica %",
    "calls of a b c %",
    "",
)
CALL: Final = ProviderCall(model="model", query="q", documents=["a"])


@dataclass
class Hour:
    """What became of the calls that began in an hour."""

    latencies_s: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    sent_again: int = 0


class Day:
    """The fleet and its load.

    Args:
        seconds: Of load for each hour, above 0.
        retry_budget: `models.NAME.retries.budget`; `None`: the default.
    """

    def __init__(self, seconds: float, retry_budget: float | None) -> None:
        self._seconds = seconds
        self._retries = {} if retry_budget is None else {"budget": retry_budget}
        self._random = random.Random(1)
        self.upstreams = {name: Upstream(name, self._random) for name in "abc"}
        self.replicas = [Replica(self._group()) for _ in range(REPLICAS)]

    def _group(self) -> ModelGroup:
        options = msgspec.convert({**OPTIONS, "retries": self._retries}, ModelSettings)
        providers = [ScriptedProvider(name, model=each.answer) for name, each in self.upstreams.items()]
        deployments = [
            Deployment(each, "model", DeploymentSettings(model=f"{each.name}/model"), options.cooldown, clock=loop_time)
            for each in providers
        ]
        return ModelGroup("search", deployments, options, loop_time)

    async def run(self, report: Callable[[int, Hour, Day], None]) -> None:
        """Run all hours; `report` is called after each."""
        for hour in range(24):
            self._begin(hour)
            for replica in self.replicas:
                replica.served = 0
            outcome = Hour()
            calls: set[asyncio.Task[None]] = set()
            ends_s = loop_time() + self._seconds
            while loop_time() < ends_s:
                await asyncio.sleep(self._random.expovariate(rate_per_s(hour)))
                call = asyncio.create_task(self._call(outcome))
                calls.add(call)
                call.add_done_callback(calls.discard)
            await asyncio.gather(*calls)
            report(hour, outcome, self)

    def _begin(self, hour: int) -> None:
        for each, fault, start in zip(self.upstreams.values(), ("slow", "hangs", "refuses"), (16, 8, 12), strict=True):
            each.fault = fault if hour in (start, start + 1) else ""
            each.calls = 0
        for replica in self.replicas[:2]:
            if hour == 20:
                asyncio.get_running_loop().call_later(self._seconds / 2, replica.kill)
            replica.is_alive = True

    async def _call(self, outcome: Hour) -> None:
        began_s = loop_time()
        for _ in range(1 + SEND_AGAIN):
            replica = self._choose()
            task = asyncio.create_task(replica.serve())
            replica.under_way.add(task)
            try:
                await task
            except asyncio.CancelledError:
                outcome.sent_again += 1
                continue
            except ServiceError as error:
                outcome.failures[error.reason.name] += 1
            finally:
                replica.under_way.discard(task)
            break
        else:
            outcome.failures["LOST"] += 1
        outcome.latencies_s.append(loop_time() - began_s)

    def _choose(self) -> Replica:
        first, second = self._random.sample([each for each in self.replicas if each.is_alive], 2)
        return first if len(first.under_way) <= len(second.under_way) else second


def rate_per_s(hour: int) -> float:
    """Return the load of an hour: a quarter of the peak at 2 o'clock, the peak at 14."""
    return PEAK_PER_S * (0.625 - 0.375 * math.cos((hour - 2) / 12 * math.pi))


def show(hour: int, outcome: Hour, day: Day) -> None:
    """Print a row."""
    latencies = outcome.latencies_s
    served = [each.served for each in day.replicas if each.is_alive]
    attempts = sum(each.calls for each in day.upstreams.values())
    shares = " ".join(f"{100 * each.calls / attempts:3.0f}" for each in day.upstreams.values())
    mean = sum(served) / len(served)
    row = [
        f"{hour:2}",
        f"{rate_per_s(hour):6,.0f}",
        f"{len(latencies):6,}",
        " ".join(f"{count} {reason}" for reason, count in outcome.failures.items()) or "0",
        f"{1e3 * percentile(latencies, 0.5):.0f}",
        f"{1e3 * percentile(latencies, 0.99):.0f}",
        f"{100 * (attempts / len(latencies) - 1):.1f}",
        f"{outcome.sent_again}",
        f"{100 * (max(served) / mean - 1):+.0f} {100 * (min(served) / mean - 1):+.0f}",
        shares,
        EVENTS.get(hour, ""),
    ]
    print(f"| {' | '.join(row)} |", flush=True)


def main() -> None:
    """Print the day as a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of load for each hour (default 3)")
    parser.add_argument("--retry-budget", type=float, help="models.NAME.retries.budget (default: the service's)")
    given = parser.parse_args()
    print(f"| {' | '.join(_COLUMNS)} |\n{'| --- ' * len(_COLUMNS)}|")

    async def run() -> None:
        await Day(given.seconds, given.retry_budget).run(show)

    coroutine: Coroutine[Any, Any, None] = run()
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(coroutine)


if __name__ == "__main__":
    main()
