"""Three upstreams behind one model, one of which can be broken in every usual way while it is under load."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import ServiceError
from rerankd.contract.messages import RerankRequest
from rerankd.contract.service import RerankService
from rerankd.serving.engine_host import EngineHost
from rerankd.settings import Settings
from rerankd_adapters.testing import LoopbackServer, Received, ScriptedResponse
from tests.support.canary import CANARY_DOCUMENT, CANARY_SECRET

LATENCY_S = 0.05
DOCUMENTS = ["the capital of France is Paris", f"a text about {CANARY_DOCUMENT}"]

Fault = Callable[[ScriptedResponse], ScriptedResponse]

FAULTS: Mapping[str, Fault] = {
    "hangs": lambda answer: replace(answer, stalls_after_bytes=-1),
    "stalls in the body": lambda answer: replace(answer, stalls_after_bytes=5),
    "resets": lambda answer: replace(answer, breaks_after_bytes=-1, delay_s=0.0),
    "dribbles a byte every 200 ms": lambda answer: replace(answer, byte_delay_s=0.2),
    "answers 429": lambda _: ScriptedResponse.of_json({"message": "too many requests"}, status=429),
    "answers 500": lambda _: ScriptedResponse.of_json({"message": "internal"}, status=500),
    "answers 503": lambda _: ScriptedResponse.of_json({"message": "overloaded"}, status=503),
    "lies": lambda answer: replace(answer, body=_results([0, 0])),
    "slows down tenfold": lambda answer: replace(answer, delay_s=10 * LATENCY_S),
}


class BreakableUpstream:
    """Answers as Cohere would after `LATENCY_S`, until it is broken."""

    def __init__(self) -> None:
        self.server = LoopbackServer(self._respond)
        self.fault: Fault | None = None

    def _respond(self, request: Received) -> ScriptedResponse:
        count = len(request.json()["documents"])
        answer = replace(ScriptedResponse(body=_results(range(count))), delay_s=LATENCY_S)
        return self.fault(answer) if self.fault else answer


def _results(indices: Any) -> bytes:
    results = [{"index": index, "relevance_score": 1 / (place + 1)} for place, index in enumerate(indices)]
    return msgspec.json.encode({"results": results, "meta": {"billed_units": {"search_units": 1}}})


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of n values, n >= 1, are at most."""
    return sorted(values)[math.ceil(len(values) * share) - 1]


@dataclass(slots=True)
class Load:
    """What one stretch of load saw."""

    latencies_s: list[float] = field(default_factory=list)
    """Of calls that were answered."""
    failures: list[ServiceError] = field(default_factory=list)
    upstream_calls: int = 0

    @property
    def calls(self) -> int:
        """Calls made, answered or not."""
        return len(self.latencies_s) + len(self.failures)

    def percentile_s(self, share: float) -> float:
        """Return the latency that `share` of the answered calls stayed within."""
        return percentile(self.latencies_s, share)


@dataclass(slots=True)
class Service:
    """An engine over three upstreams."""

    service: RerankService
    upstreams: list[BreakableUpstream]

    async def load(self, duration_s: float, concurrency: int = 16) -> Load:
        """Call without a pause from so many tasks."""
        seen = Load()
        received = self._received()
        end_s = time.monotonic() + duration_s
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(self._call_until(end_s, seen))
        seen.upstream_calls = self._received() - received
        return seen

    async def _call_until(self, end_s: float, seen: Load) -> None:
        while (began_s := time.monotonic()) < end_s:
            request = RerankRequest(model="search", query="the capital of France", documents=[*DOCUMENTS])
            try:
                await self.service.rerank(request, CallContext("fault"))
            except ServiceError as failure:
                seen.failures.append(failure)
            else:
                seen.latencies_s.append(time.monotonic() - began_s)

    def _received(self) -> int:
        return sum(len(upstream.server.received) for upstream in self.upstreams)


@asynccontextmanager
async def service(**policy: Any) -> AsyncIterator[Service]:
    """Open an engine with one model, `search`, that three upstreams serve; `policy` are its settings."""
    upstreams = [BreakableUpstream() for _ in range(3)]
    async with AsyncExitStack() as stack:
        for upstream in upstreams:
            await stack.enter_async_context(upstream.server)
        named = {f"up{number}": upstream.server.url for number, upstream in enumerate(upstreams)}
        model = {"deployments": [{"model": f"{name}/rerank-v3.5"} for name in named], "cache": False, **policy}
        settings = {
            "providers": {
                name: {"provider": "cohere", "base_url": url, "api_key": CANARY_SECRET} for name, url in named.items()
            },
            "models": {"search": model},
        }
        host = EngineHost(msgspec.convert(settings, Settings), {})
        try:
            yield Service(host.services.rerank_service, upstreams)
        finally:
            await host.close()


@dataclass(frozen=True, slots=True)
class Outcome:
    """One fault beside the health before it, in one run."""

    fault: str
    healthy: Load
    broken: Load
    reached: int
    """Calls that reached the broken upstream."""

    @property
    def p99_ratio(self) -> float:
        """The 99th percentile with the fault, over that without."""
        return self.broken.percentile_s(0.99) / self.healthy.percentile_s(0.99)

    def row(self) -> list[str]:
        """Return the cells of `COLUMNS`."""
        percentiles = [
            f"{load.percentile_s(at) * 1000:.0f}" for load in (self.healthy, self.broken) for at in (0.5, 0.99)
        ]
        extra = self.broken.upstream_calls / max(self.broken.calls, 1)
        calls, failed = self.broken.calls, len(self.broken.failures)
        ratio, reached = f"{self.p99_ratio:.2f}", f"{self.reached}"
        return [self.fault, *percentiles, ratio, f"{calls}", f"{failed}", f"{extra:.2f}", reached]


COLUMNS = (
    "one of three",
    "healthy p50 ms",
    "healthy p99 ms",
    "broken p50 ms",
    "broken p99 ms",
    "p99 ratio",
    "calls",
    "failed",
    "upstream calls a call",
    "reached the broken one",
)


async def measure(fault: str, *, healthy_s: float = 2.0, broken_s: float = 3.0, **policy: Any) -> Outcome:
    """Load three healthy upstreams, then break one while the load goes on; callers set no deadline.

    `policy` are settings of the model, by default the default ones.
    """
    async with service(**policy) as opened:
        await opened.load(1.0)
        healthy = await opened.load(healthy_s)
        broken, before = opened.upstreams[2], len(opened.upstreams[2].server.received)
        breaking = asyncio.create_task(opened.load(broken_s))
        await asyncio.sleep(0)
        broken.fault = FAULTS[fault]
        load = await breaking
        return Outcome(fault, healthy, load, len(broken.server.received) - before)
