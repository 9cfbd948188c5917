"""Steady load over gRPC, HTTP and batch streams, with every failure and latency noted."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import httpx

from rerankd_client import AsyncRerankClient, BatchItem, RerankError
from tests.support.minutes import minute_with_room

CALLERS: Final = 4
"""Of each transport."""
PACE_S: Final = 0.05
"""Between two calls of a caller."""
HTTP_TIMEOUT_S: Final = 60.0
STREAM_TIMEOUT_S: Final = 240.0
"""Of a batch stream with all its resumes, so that a test ends whatever a server does."""
MODEL: Final = "cohere/rerank-v3.5"
BATCH_MODEL: Final = "cohere/rerank-english-v3.0"
"""Of the items of batch streams, so that metrics tell them from the calls."""
MOST_UNANSWERED: Final = 8
"""Items of the stream that are under way or wait, and are sent again when it is resumed."""
QUERY: Final = "capital of France"
_numbers = itertools.count()


@dataclass
class Tally:
    """What became of the calls of one transport."""

    latencies_s: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    repeated: int = 0
    """Calls sent again over another connection, or streams resumed; what gRPC sends again by itself is not seen."""

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
        max_attempts: Of the gRPC clients.
        repeats: How often an HTTP call is sent again whose connection broke.
    """

    def __init__(self, address: str, url: str, api_key: str, *, max_attempts: int = 1, repeats: int = 0) -> None:
        self.tallies = {name: Tally() for name in ("grpc", "http", "batch")}
        self.answered: set[str] = set()
        """Ids of the requests of gRPC and HTTP that were answered."""
        self.is_stopping = False
        self._repeats = repeats
        # A connection each, of which the kernel gives every worker of a server some.
        own = [("grpc.use_local_subchannel_pool", 1)]
        self._clients = [
            AsyncRerankClient(address, max_attempts=max_attempts, api_key=api_key, channel_options=own)
            for _ in range(CALLERS + 1)
        ]
        headers = {"authorization": f"Bearer {api_key}"}
        self._http = httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=HTTP_TIMEOUT_S)

    async def run(self) -> None:
        """Call until `is_stopping`, then wait for the calls under way."""
        *unary, streaming = self._clients
        async with AsyncExitStack() as stack:
            for client in self._clients:
                await stack.enter_async_context(client)
            await stack.enter_async_context(self._http)
            callers = await stack.enter_async_context(asyncio.TaskGroup())
            for client in unary:
                callers.create_task(self._repeat("grpc", partial(self._by_grpc, client)))
                callers.create_task(self._repeat("http", self._by_http))
            callers.create_task(self._batches(streaming))

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

    async def _by_grpc(self, client: AsyncRerankClient) -> str:
        request_id = f"load-{next(_numbers)}"
        metadata = {"x-request-id": request_id}
        try:
            response = await client.rerank(QUERY, documents(), model=MODEL, metadata=metadata)
        except RerankError as error:
            return repr(error)
        self.answered.add(request_id)
        return "" if len(response.results) == 3 else "incomplete"

    async def _by_http(self) -> str:
        request_id = f"load-{next(_numbers)}"
        body = {"model": MODEL, "query": QUERY, "documents": documents()}
        try:
            response = await self._post(body, request_id)
        except httpx.TransportError as error:
            return repr(error)
        self.answered.add(request_id)
        return "" if response.status_code == 200 else f"{response.status_code} {response.text[:200]}"

    async def _post(self, body: Mapping[str, object], request_id: str) -> httpx.Response:
        """Call over HTTP; where the connection breaks, over another one, because a rerank call changes nothing."""
        headers = {"x-request-id": request_id}
        for _ in range(self._repeats):
            try:
                return await self._http.post("/v1/rerank", json=body, headers=headers)
            except (httpx.NetworkError, httpx.RemoteProtocolError):
                self.tallies["http"].repeated += 1
        return await self._http.post("/v1/rerank", json=body, headers=headers)

    async def _batches(self, client: AsyncRerankClient) -> None:
        """Keep one stream open; it is resumed where it breaks, and every item must be answered once."""
        sent: list[str] = []
        answered: list[str] = []
        began_s = time.monotonic()
        batch = client.batch_rerank(self._items(sent), max_concurrency=MOST_UNANSWERED // 2, timeout_s=STREAM_TIMEOUT_S)
        try:
            async for result in batch:
                answered.append(result.item_id)
                self._note("batch", "" if result.error is None else repr(result.error), began_s)
                began_s = time.monotonic()
        except RerankError as error:
            self._note("batch", repr(error), began_s)
        self.tallies["batch"].repeated = 0 if batch.summary is None else batch.summary.resumes
        if sorted(sent) != sorted(answered):
            self._note("batch", f"{len(sent)} items sent, {len(answered)} answered", began_s)

    async def _items(self, sent: list[str]) -> AsyncIterator[BatchItem]:
        while not self.is_stopping:
            sent.append(f"item-{next(_numbers)}")
            yield BatchItem(query=QUERY, documents=documents(), item_id=sent[-1], model=BATCH_MODEL)
            await asyncio.sleep(PACE_S)


def documents() -> list[str]:
    """Return three documents, one of which no cache has."""
    return ["the capital of France is Paris", "a desert", f"text {next(_numbers)} of France"]


async def burst(url: str, api_key: str, calls: int, *, repeats: int = 0) -> Counter[int]:
    """Send calls at once, each over a connection of its own; return how often each HTTP status came.

    Args:
        url: Of HTTP.
        api_key: Of the caller.
        calls: How many, at least 1.
        repeats: How often a connection is tried again that a server refused or broke.
    """
    body = {"model": MODEL, "query": QUERY, "documents": documents()}
    headers, limits = {"authorization": f"Bearer {api_key}"}, httpx.Limits(max_connections=calls)
    client = httpx.AsyncClient(base_url=url, headers=headers, limits=limits, trust_env=False, timeout=HTTP_TIMEOUT_S)

    async def send() -> int:
        for _ in range(repeats):
            try:
                return (await client.post("/v1/rerank", json=body)).status_code
            except (httpx.NetworkError, httpx.RemoteProtocolError):
                continue
        return (await client.post("/v1/rerank", json=body)).status_code

    await minute_with_room()
    async with client:
        return Counter(await asyncio.gather(*(send() for _ in range(calls))))


@asynccontextmanager
async def under_load(
    address: str, url: str, api_key: str, *, max_attempts: int = 1, repeats: int = 0
) -> AsyncIterator[Load]:
    """Call while the body runs, and wait for the calls under way at its end; arguments as of `Load`."""
    load = Load(address, url, api_key, max_attempts=max_attempts, repeats=repeats)
    running = asyncio.create_task(load.run())
    try:
        yield load
    finally:
        load.is_stopping = True
        await running
