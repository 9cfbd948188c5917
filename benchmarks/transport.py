"""CPU of an upstream call over each HTTP transport, plain and over TLS, side by side in one run.

The server is a process of its own, so that the CPU counted here is the client's alone. Calls go through a whole
deployment: building, authentication, transport, parsing. Connections are kept, so no handshake is counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import ssl
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import trustme
import uvloop
from rich.console import Console
from rich.table import Table

from rerankd.http.transport_factory import open_transport
from rerankd.http.transport_settings import ClientName, TransportSettings
from rerankd.providers.http_provider import HttpProvider
from rerankd_adapters.base import Endpoint, ProviderCall
from rerankd_adapters.providers.cohere import COHERE

TRANSPORTS: Final[Sequence[ClientName]] = ("loop", "httpx")


@dataclass(frozen=True)
class Load:
    """How much is asked of each transport."""

    calls: int
    concurrency: int
    documents: int


@dataclass(frozen=True)
class Reading:
    """What one transport needed."""

    name: str
    scheme: str
    cpu_us_per_call: float
    calls_per_s: float


def serve(ports: Connection, documents: int, certificate: Path) -> None:
    """Serve until killed; tells its ports, plain and TLS."""
    asyncio.run(_serve(ports, documents, certificate))


async def _serve(ports: Connection, documents: int, certificate: Path) -> None:
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

    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    servers = [await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context) for context in (None, tls)]
    ports.send([server.sockets[0].getsockname()[1] for server in servers])
    await asyncio.gather(*(server.serve_forever() for server in servers))


async def measure(name: ClientName, url: str, ca_file: Path, load: Load) -> Reading:
    transport = open_transport(TransportSettings(client=name, uses_environment_proxy=False, ca_file=str(ca_file)))
    deployment = HttpProvider(COHERE, Endpoint(base_url=url, api_key="a-key"), transport)
    call = ProviderCall(
        model="rerank-v3.5", query="what is the capital of France", documents=["a text about it"] * load.documents
    )

    async def work(count: int) -> None:
        for _ in range(count):
            await deployment.rerank(call)

    await asyncio.gather(*(work(20) for _ in range(load.concurrency)))
    started_s, cpu_s = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work(load.calls // load.concurrency) for _ in range(load.concurrency)))
    done = load.calls // load.concurrency * load.concurrency
    cpu_us = (time.process_time() - cpu_s) / done * 1e6
    per_s = done / (time.perf_counter() - started_s)
    await transport.close()
    return Reading(name, url.partition(":")[0], cpu_us, per_s)


def measure_all(load: Load) -> Sequence[Reading]:
    """Measure every transport over both schemes, with one server behind them all."""
    authority = trustme.CA()
    with tempfile.TemporaryDirectory(prefix="rerankd-bench-") as folder:
        ca_file, certificate = Path(folder, "ca.pem"), Path(folder, "server.pem")
        authority.cert_pem.write_to_path(str(ca_file))
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
        ours, theirs = multiprocessing.Pipe()
        server = multiprocessing.Process(target=serve, args=(theirs, load.documents, certificate), daemon=True)
        server.start()
        urls = [f"{scheme}://127.0.0.1:{port}" for scheme, port in zip(("http", "https"), ours.recv(), strict=True)]
        readings = [uvloop.run(measure(name, url, ca_file, load)) for url in urls for name in TRANSPORTS]
        server.terminate()
        server.join()
    return readings


def table_of(readings: Sequence[Reading], title: str) -> Table:
    best = min(reading.cpu_us_per_call for reading in readings)
    table = Table("transport", "scheme", "CPU a call (us)", "ratio", "calls a second", title=title)
    for reading in readings:
        ratio = reading.cpu_us_per_call / best
        figures = f"{reading.cpu_us_per_call:.0f}", f"{ratio:.1f}", f"{reading.calls_per_s:.0f}"
        table.add_row(reading.name, reading.scheme, *figures)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=4000)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--documents", type=int, default=4)
    arguments = parser.parse_args()
    load = Load(arguments.calls, arguments.concurrency, arguments.documents)
    readings = measure_all(load)
    title = f"{load.documents} documents, {load.concurrency} calls at once"
    Console().print(table_of(readings, title))


if __name__ == "__main__":
    main()
