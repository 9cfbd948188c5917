"""Steady load over gRPC, HTTP and batch streams, with every failure and latency noted."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import httpx

from rerankd_client import AsyncRerankClient, BatchItem, RerankError

CALLERS: Final = 4
"""Of each transport."""
PACE_S: Final = 0.05
"""Between two calls of a caller."""
MODEL: Final = "cohere/rerank-v3.5"
QUERY: Final = "capital of France"
_numbers = itertools.count()


@dataclass
class Tally:
    """What became of the calls of one transport."""

    latencies_s: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        ordered = sorted(self.latencies_s) or [0.0]
        p50, p99, longest = (1e3 * ordered[int(share * (len(ordered) - 1))] for share in (0.5, 0.99, 1.0))
        return (
            f"{len(self.latencies_s):5} calls, {len(self.failures)} failed, "
            f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, longest {longest:.0f} ms"
        )


class Load:
    """Calls until it is told to stop.

    Args:
        address: Of gRPC.
        url: Of HTTP.
        api_key: Of the callers.
    """

    def __init__(self, address: str, url: str, api_key: str) -> None:
        self.tallies = {name: Tally() for name in ("grpc", "http", "batch")}
        self.answered: set[str] = set()
        """Ids of the requests of gRPC and HTTP that were answered."""
        self.is_stopping = False
        self._client = AsyncRerankClient(address, max_attempts=1, api_key=api_key)
        headers = {"authorization": f"Bearer {api_key}"}
        self._http = httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=30)

    async def run(self) -> None:
        """Call until `is_stopping`, then wait for the calls under way."""
        async with self._client, self._http, asyncio.TaskGroup() as callers:
            for _ in range(CALLERS):
                callers.create_task(self._repeat("grpc", self._by_grpc))
                callers.create_task(self._repeat("http", self._by_http))
            callers.create_task(self._batches())

    @property
    def failures(self) -> list[str]:
        """Failures of all transports."""
        return [failure for tally in self.tallies.values() for failure in tally.failures]

    async def _repeat(self, name: str, call: Callable[[], Awaitable[str]]) -> None:
        while not self.is_stopping:
            began_s = time.monotonic()
            self._note(name, await call(), began_s)
            await asyncio.sleep(PACE_S)

    def _note(self, name: str, failure: str, began_s: float) -> None:
        tally = self.tallies[name]
        tally.latencies_s.append(time.monotonic() - began_s)
        if failure:
            tally.failures.append(f"{name} at {began_s:.1f}: {failure}")

    async def _by_grpc(self) -> str:
        request_id = f"load-{next(_numbers)}"
        metadata = {"x-request-id": request_id}
        try:
            response = await self._client.rerank(QUERY, documents(), model=MODEL, metadata=metadata)
        except RerankError as error:
            return repr(error)
        self.answered.add(request_id)
        return "" if len(response.results) == 3 else "incomplete"

    async def _by_http(self) -> str:
        request_id = f"load-{next(_numbers)}"
        body = {"model": MODEL, "query": QUERY, "documents": documents()}
        try:
            response = await self._http.post("/v1/rerank", json=body, headers={"x-request-id": request_id})
        except httpx.TransportError as error:
            return repr(error)
        self.answered.add(request_id)
        return "" if response.status_code == 200 else f"{response.status_code} {response.text[:200]}"

    async def _batches(self) -> None:
        """Keep one stream open; it is resumed where it breaks, and every item must be answered once."""
        sent: list[str] = []
        answered: list[str] = []
        began_s = time.monotonic()
        try:
            async for result in self._client.batch_rerank(self._items(sent), max_concurrency=4):
                answered.append(result.item_id)
                self._note("batch", "" if result.error is None else repr(result.error), began_s)
                began_s = time.monotonic()
        except RerankError as error:
            self._note("batch", repr(error), began_s)
        if sorted(sent) != sorted(answered):
            self._note("batch", f"{len(sent)} items sent, {len(answered)} answered", began_s)

    async def _items(self, sent: list[str]) -> AsyncIterator[BatchItem]:
        while not self.is_stopping:
            sent.append(f"item-{next(_numbers)}")
            yield BatchItem(query=QUERY, documents=documents(), item_id=sent[-1], model=MODEL)
            await asyncio.sleep(PACE_S)


def documents() -> list[str]:
    """Return three documents, one of which no cache has."""
    return ["the capital of France is Paris", "a desert", f"text {next(_numbers)} of France"]


async def burst(url: str, api_key: str, calls: int) -> Counter[int]:
    """Send calls at once, each over a connection of its own; return how often each HTTP status came."""
    body = {"model": MODEL, "query": QUERY, "documents": documents()}

    headers, limits = {"authorization": f"Bearer {api_key}"}, httpx.Limits(max_connections=calls)
    async with httpx.AsyncClient(base_url=url, headers=headers, limits=limits, trust_env=False, timeout=30) as client:
        responses = await asyncio.gather(*(client.post("/v1/rerank", json=body) for _ in range(calls)))
    return Counter(response.status_code for response in responses)


@asynccontextmanager
async def under_load(address: str, url: str, api_key: str) -> AsyncIterator[Load]:
    """Call while the body runs, and wait for the calls under way at its end."""
    load = Load(address, url, api_key)
    running = asyncio.create_task(load.run())
    try:
        yield load
    finally:
        load.is_stopping = True
        await running
