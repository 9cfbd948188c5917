"""CPU a call of every HTTP transport to providers, beside each other in one run.

The server is a process of its own, so that the CPU counted here is the client's alone. Calls go through a
whole deployment: building, authentication, transport, parsing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection

import uvloop
from rich.console import Console
from rich.table import Table

from rerankd.http.transport import TransportSettings, open_transport
from rerankd.providers.http_provider import HttpProvider
from rerankd_adapters.base import Endpoint, ProviderCall
from rerankd_adapters.cohere import COHERE

TRANSPORTS = ("loop", "pyqwest", "httpx")


@dataclass(frozen=True)
class Reading:
    """What one transport needed."""

    name: str
    cpu_us_per_call: float
    calls_per_s: float


def serve(port: Connection, documents: int) -> None:
    asyncio.run(_serve(port, documents))


async def _serve(port: Connection, documents: int) -> None:
    results = [{"index": index, "relevance_score": 1 / (index + 1)} for index in range(documents)]
    body = json.dumps({"results": results, "meta": {"billed_units": {"search_units": 1}}}).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    answer = head.encode() + body

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = request.partition(b"content-length:")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length))
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


async def measure(name: str, url: str, documents: int, calls: int, concurrency: int) -> Reading:
    transport = open_transport(name, TransportSettings(uses_environment_proxy=False))
    deployment = HttpProvider(COHERE, Endpoint(base_url=url, api_key="a-key"), transport)
    call = ProviderCall(
        model="rerank-v3.5", query="what is the capital of France", documents=["a text about it"] * documents
    )

    async def work(count: int) -> None:
        for _ in range(count):
            await deployment.rerank(call)

    await asyncio.gather(*(work(20) for _ in range(concurrency)))
    started_s, cpu_s = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work(calls // concurrency) for _ in range(concurrency)))
    done = calls // concurrency * concurrency
    cpu_us = (time.process_time() - cpu_s) / done * 1e6
    per_s = done / (time.perf_counter() - started_s)
    await transport.close()
    return Reading(name, cpu_us, per_s)


def table_of(readings: list[Reading], title: str) -> Table:
    best = min(reading.cpu_us_per_call for reading in readings)
    table = Table("transport", "CPU a call (us)", "ratio", "calls a second", title=title)
    for reading in readings:
        ratio = reading.cpu_us_per_call / best
        table.add_row(reading.name, f"{reading.cpu_us_per_call:.0f}", f"{ratio:.1f}", f"{reading.calls_per_s:.0f}")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=4000)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--documents", type=int, default=4)
    arguments = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(theirs, arguments.documents), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{ours.recv()}"
    readings = [
        uvloop.run(measure(name, url, arguments.documents, arguments.calls, arguments.concurrency))
        for name in TRANSPORTS
    ]
    server.terminate()
    title = f"{arguments.documents} documents, concurrency {arguments.concurrency}"
    Console().print(table_of(readings, title))


if __name__ == "__main__":
    main()
