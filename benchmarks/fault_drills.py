"""Drills of `make bench-faults`: a real server, upstreams that break under load, and a prober beside them.

Calls come at a steady rate whatever becomes of them, as those of many independent callers do.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from rerankd.http.transport import HttpTransport
from rerankd.http.transport_factory import open_transport
from rerankd.http.transport_settings import TransportSettings
from rerankd_adapters.base import AdapterError, HttpRequest
from tests.support.faults import FAULTS, BreakableUpstream, percentile
from tests.support.server import ServerProcess

CALLS_PER_S: Final = 40
CLIENT_TIMEOUT_S: Final = 100.0
DRAIN_S: Final = 20.0
"""How long answers are awaited after the last call of a drill; later ones count as failed."""
BURST_S: Final = 5.0
UPSTREAMS: Final = 3
MODEL: Final = "rerank-v3.5"


@dataclass(frozen=True, slots=True)
class Column:
    """Settings and habits of callers under which every drill is measured."""

    name: str
    policy: Mapping[str, Any]
    """Of every model."""
    headers: Mapping[str, str]
    """Of every call."""


DEFAULT: Final = Column("default settings, no deadline", {}, {})
RECOMMENDED: Final = Column(
    "`balancing: latency`, hedging, deadline of 5 s",
    {"balancing": "latency", "hedge": {"enabled": True}},
    {"x-request-timeout-ms": "5000"},
)
COLUMNS: Final = (DEFAULT, RECOMMENDED)


@dataclass(frozen=True, slots=True)
class Drill:
    """What breaks, and who calls meanwhile."""

    fault: str
    broken: Sequence[int] = (UPSTREAMS - 1,)
    """Numbers of the upstreams that break."""
    model: str = "search"
    """Model of the measured calls; `search` has a deployment at each upstream."""
    fallbacks: Sequence[str] = ()
    burst: tuple[str, int] | None = None
    """Model, and number of calls to it that come within `BURST_S` of the fault; they are not measured."""


DRILLS: Final[Mapping[str, Drill]] = {
    **{f"one of three deployments {fault}": Drill(fault) for fault in FAULTS},
    "a provider hangs beside 900 calls to it": Drill("hangs", (0,), f"up1/{MODEL}", burst=(f"up0/{MODEL}", 900)),
    "a model hangs that has a fallback": Drill("hangs", (0,), f"up0/{MODEL}", (f"up1/{MODEL}",)),
    "a model and four of its fallbacks answer 503": Drill(
        "answers 503", (0, 1), f"up0/{MODEL}", (*(f"up{n % 2}/m{n}" for n in range(1, 5)), f"up2/{MODEL}")
    ),
}


@dataclass(slots=True)
class Load:
    """What the measured calls of one stretch saw."""

    latencies_ms: list[float] = field(default_factory=list)
    """Of answered calls."""
    failures: list[str] = field(default_factory=list)

    def percentile_ms(self, share: float) -> float:
        """Return the latency that `share` of the answered calls stayed within; 0 without any."""
        return round(percentile(self.latencies_ms, share), 1) if self.latencies_ms else 0.0


@dataclass(frozen=True, slots=True)
class Measured:
    """A drill under one column."""

    healthy_p99_ms: float
    p50_ms: float
    p99_ms: float
    calls: int
    failed: int
    reached: int
    """Calls that reached the broken upstreams."""
    upstream_calls_per_call: float
    prober_p99_ms: Mapping[str, float]
    """By transport."""
    prober_calls: int
    prober_failed: int


class Callers:
    """Sends calls to a server, each from a task of its own."""

    def __init__(self, url: str, column: Column) -> None:
        self._url = f"{url}/v2/rerank"
        self._headers = {"content-type": "application/json", **column.headers}
        settings = TransportSettings(client="loop", max_connections_per_host=4096, read_timeout_s=CLIENT_TIMEOUT_S)
        self._transport: HttpTransport = open_transport(settings)
        self._sent = 0

    async def call(self, model: str, fallbacks: Sequence[str], seen: Load) -> None:
        """Make one call, with a query of its own, so that no score is cached."""
        self._sent += 1
        body = {"model": model, "query": f"capital {self._sent}", "documents": ["Paris", "a text about nothing"]}
        request = HttpRequest(
            url=self._url, headers=self._headers, body=msgspec.json.encode(body | {"fallbacks": list(fallbacks)})
        )
        began_s = time.monotonic()
        try:
            response = await self._transport.send(request, CLIENT_TIMEOUT_S)
        except AdapterError as error:
            seen.failures.append(str(error))
            return
        except asyncio.CancelledError:
            seen.failures.append("no answer in time")
            raise
        if response.status == 200:
            seen.latencies_ms.append((time.monotonic() - began_s) * 1000)
        else:
            seen.failures.append(f"{response.status} {response.body[:200]!r}")

    async def load(self, drill: Drill, seconds: float) -> Load:
        """Call at a steady rate for so long, and await the answers."""
        seen, tasks, loop = Load(), [], asyncio.get_running_loop()
        began_s = loop.time()
        for number in range(int(seconds * CALLS_PER_S)):
            await asyncio.sleep(began_s + number / CALLS_PER_S - loop.time())
            tasks.append(asyncio.create_task(self.call(drill.model, drill.fallbacks, seen)))
        _, late = await asyncio.wait(tasks, timeout=DRAIN_S)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        return seen

    async def burst(self, model: str, count: int) -> None:
        """Call a model so often within `BURST_S`, and wait for the answers."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(count):
                tasks.create_task(self.call(model, (), Load()))
                await asyncio.sleep(BURST_S / count)

    async def close(self) -> None:
        """Close every connection."""
        await self._transport.close()


async def measure(drill: Drill, column: Column, *, healthy_s: float, broken_s: float) -> Measured:
    """Load a server, break its upstreams, and load it on beside a prober."""
    async with AsyncExitStack() as stack:
        upstreams = [await _opened(stack) for _ in range(UPSTREAMS)]
        server = await stack.enter_async_context(_server(_settings(upstreams, column)))
        callers = Callers(server.http_url, column)
        stack.push_async_callback(callers.close)
        await callers.load(drill, 1.5)
        healthy = await callers.load(drill, healthy_s)
        before = [len(upstream.server.received) for upstream in upstreams]
        for number in drill.broken:
            upstreams[number].fault = FAULTS[drill.fault]
        async with _prober(server) as prober:
            burst = asyncio.create_task(callers.burst(*drill.burst or ("", 0)))
            broken = await callers.load(drill, broken_s)
        burst.cancel()
        await asyncio.gather(burst, return_exceptions=True)
        received = [len(upstream.server.received) - count for upstream, count in zip(upstreams, before, strict=True)]
    calls = len(broken.latencies_ms) + len(broken.failures)
    return Measured(
        healthy_p99_ms=healthy.percentile_ms(0.99),
        p50_ms=broken.percentile_ms(0.5),
        p99_ms=broken.percentile_ms(0.99),
        calls=calls,
        failed=len(broken.failures),
        reached=sum(received[number] for number in drill.broken),
        upstream_calls_per_call=round(sum(received) / calls, 2),
        prober_p99_ms={name: round(percentile(each["latencies_ms"], 0.99), 1) for name, each in prober.items()},
        prober_calls=sum(len(each["latencies_ms"]) for each in prober.values()),
        prober_failed=sum(len(each["failures"]) for each in prober.values()),
    )


async def _opened(stack: AsyncExitStack) -> BreakableUpstream:
    upstream = BreakableUpstream()
    await stack.enter_async_context(upstream.server)
    return upstream


def _settings(upstreams: Sequence[BreakableUpstream], column: Column) -> dict[str, Any]:
    named = {f"up{number}": upstream.server.url for number, upstream in enumerate(upstreams)}
    deployments = [{"model": f"{name}/{MODEL}"} for name in named]
    models = {"search": {"deployments": deployments, **column.policy}, "*": dict(column.policy)}
    providers = {name: {"provider": "cohere", "base_url": url, "api_key": "k" * 20} for name, url in named.items()}
    return {"providers": providers, "models": models}


@asynccontextmanager
async def _server(settings: dict[str, Any]) -> AsyncIterator[ServerProcess]:
    with tempfile.TemporaryDirectory(prefix="rerankd-faults-") as folder:
        path = Path(folder) / "rerankd.yaml"
        path.write_text(json.dumps(settings), encoding="utf-8")  # JSON is YAML
        server = await asyncio.to_thread(ServerProcess, "--config", str(path))
        try:
            yield server
        finally:
            await asyncio.to_thread(server.stop)


@asynccontextmanager
async def _prober(server: ServerProcess) -> AsyncIterator[dict[str, Any]]:
    """Run the prober of `make test-abuse`; what it saw is there when the context ends."""
    seen: dict[str, Any] = {}
    pipe = asyncio.subprocess.PIPE
    arguments = ("-m", "tests.abuse.probe", server.http_url, server.grpc_address)
    prober = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdin=pipe, stdout=pipe, limit=1 << 24)
    assert prober.stdout is not None
    await prober.stdout.readline()
    yield seen
    output, _ = await prober.communicate(b"")
    seen.update(json.loads(output))
