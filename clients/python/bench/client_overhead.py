"""Compare calls through the client with calls through the bare generated stub: time and CPU of this process.

Rounds of both alternate, so that what else the machine does falls on both; the medians of their ratios are printed.
`RERANKD_ADDRESS` names the server.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from rerank.v1 import rerank_service_pb2 as pb
from rerank.v1 import rerank_service_pb2_grpc as pb_grpc
from rerankd_client import AsyncRerankClient
from rerankd_client.connection import resolve_target

QUERY = "who wrote Dune"
DOCUMENTS = ["A desert planet.", "Frank Herbert.", "Two moons.", "A novel of 1965."]
MODEL = "local/bm25"


async def measure(call: Callable[[], Awaitable[Any]], calls: int, at_once: int) -> tuple[float, float]:
    """Make calls; return the seconds and the CPU seconds of this process that one took."""

    async def work() -> None:
        for _ in range(calls // at_once):
            await call()

    started_s, started_cpu_s = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(at_once)))
    made = calls // at_once * at_once
    return (time.perf_counter() - started_s) / made, (time.process_time() - started_cpu_s) / made


async def main(rounds: int, calls: int, at_once: int) -> None:
    """Print the ratios."""
    async with grpc.aio.insecure_channel(resolve_target(None)) as channel, AsyncRerankClient() as client:
        stub: Any = pb_grpc.RerankServiceStub(channel)

        def via_stub() -> Awaitable[Any]:
            documents = [pb.Document(text=text) for text in DOCUMENTS]
            found: Awaitable[Any] = stub.Rerank(
                pb.RerankRequest(query=QUERY, documents=documents, model=MODEL), timeout=30
            )
            return found

        def via_client() -> Awaitable[Any]:
            return client.rerank(QUERY, DOCUMENTS, model=MODEL)

        for call in (via_stub, via_client):
            await measure(call, calls, at_once)
        wall, cpu, bare_s, bare_cpu_s = [], [], [], []
        for _ in range(rounds):
            stub_s, stub_cpu_s = await measure(via_stub, calls, at_once)
            client_s, client_cpu_s = await measure(via_client, calls, at_once)
            wall.append(stub_s / client_s)
            cpu.append(client_cpu_s / stub_cpu_s)
            bare_s.append(stub_s)
            bare_cpu_s.append(stub_cpu_s)
    print(
        f"stub: {1 / statistics.median(bare_s):.0f} calls/s, {statistics.median(bare_cpu_s) * 1e6:.0f} us of CPU a call"
    )
    print(
        f"client: {statistics.median(wall):.2f} of the stub's calls a second, "
        f"{statistics.median(cpu):.2f} of its CPU a call"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--calls", type=int, default=400, help="of a round")
    parser.add_argument("--at-once", type=int, default=8)
    asyncio.run(main(**vars(parser.parse_args())))
