"""Calls a second and CPU a call of the running server, beside the stack's own ceilings, in one run.

Each server runs alone on one core, the load on another. CPU a call is the server process's own, read from
/proc, and so does not depend on how fast the load driver is.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import grpc
from rich.console import Console
from rich.table import Table

from rerank.v1 import rerank_service_pb2 as pb

ROOT = Path(__file__).parent.parent
DOCUMENTS = ["a text about the capital of France " * 14] * 4
QUERY = "what is the capital of France"
NOTHING = "nothing"
METHOD = "/rerank.v1.RerankService/Rerank"

Call = Callable[[], Awaitable[Any]]


@dataclass(frozen=True)
class Reading:
    """What one load run measured."""

    calls_per_s: float
    cpu_us_per_call: float


@contextmanager
def running(
    command: list[str], core: int, variables: Mapping[str, str] = MappingProxyType({})
) -> Iterator[tuple[int, dict[str, int]]]:
    """Run a server on one core; yield its process id and ports."""
    environment = {**os.environ, "RERANKD_LOG__FORMAT": "json", "RERANKD_LOG__LEVEL": "info", **variables}
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    assert process.stdout is not None
    ports: dict[str, int] = {}
    for line in process.stdout:
        if line.strip().isdigit():
            ports = {"port": int(line)}
        elif line.startswith("{") and (entry := json.loads(line))["event"] == "ready":
            ports = {"grpc": entry["grpc_port"], "http": entry["http_port"]}
        if ports:
            break
    drain = subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL)
    try:
        yield process.pid, ports
    finally:
        process.terminate()
        process.wait()
        drain.wait()


def cpu_s(pid: int) -> float:
    """CPU seconds a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def load(pid: int, call: Call, concurrency: int, duration_s: float) -> Reading:
    """Call in `concurrency` loops for `duration_s` seconds after a second of warm-up."""
    counted = 0
    ends_s = time.monotonic() + 1 + duration_s

    async def loop() -> None:
        nonlocal counted
        while time.monotonic() < ends_s:
            await call()
            counted += 1

    loops = [asyncio.create_task(loop()) for _ in range(concurrency)]
    await asyncio.sleep(1)
    counted, began_s, cpu_began_s = 0, time.monotonic(), cpu_s(pid)
    await asyncio.sleep(duration_s)
    calls, took_s, cpu = counted, time.monotonic() - began_s, cpu_s(pid) - cpu_began_s
    await asyncio.gather(*loops)
    return Reading(calls / took_s, cpu / calls * 1e6)


async def load_grpc(pid: int, port: int, arguments: argparse.Namespace) -> Reading:
    """Load a gRPC server with unary calls."""
    documents = [pb.Document(text=document) for document in DOCUMENTS]
    body = pb.RerankRequest(model="local/bm25", query=QUERY, documents=documents).SerializeToString()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        rerank: Any = channel.unary_unary(METHOD)
        return await load(pid, lambda: rerank(body), arguments.concurrency, arguments.seconds)


async def load_batch(pid: int, port: int, arguments: argparse.Namespace) -> Reading:
    """Load a gRPC server with one batch stream."""
    documents = [pb.Document(text=document) for document in DOCUMENTS]
    request = pb.RerankRequest(model="local/bm25", query=QUERY, documents=documents)
    body = pb.BatchRerankRequest(item=pb.BatchItem(item_id="x", request=request)).SerializeToString()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        batch: Any = channel.stream_stream("/rerank.v1.RerankService/BatchRerank")
        stream = batch()
        room = asyncio.Semaphore(arguments.concurrency)

        async def write() -> None:
            while True:
                await room.acquire()
                await stream.write(body)

        writer = asyncio.create_task(write())

        async def take() -> None:
            await stream.read()
            room.release()

        reading = await load(pid, take, 1, arguments.seconds)
        writer.cancel()
        stream.cancel()
        return reading


async def load_http(pid: int, port: int, arguments: argparse.Namespace) -> Reading:
    """Load an HTTP server over connections that stay open; a client library would cost more than the server."""
    body = json.dumps({"model": "local/bm25", "query": QUERY, "documents": DOCUMENTS}).encode()
    head = f"POST /v1/rerank HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    message = head.encode() + b"\r\n\r\n" + body
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(arguments.concurrency)]

    async def call() -> None:
        reader, writer = connection = idle.pop()
        writer.write(message)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert head.startswith(b"http/1.1 200"), head
        await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r")[0]))
        idle.append(connection)

    reading = await load(pid, call, arguments.concurrency, arguments.seconds)
    for _, writer in idle:
        writer.close()
        await writer.wait_closed()
    return reading


async def measure(arguments: argparse.Namespace) -> dict[str, Reading]:
    """Run every load, each server alone."""
    readings = {}
    ceilings = [sys.executable, str(ROOT / "benchmarks/ceilings.py")]
    with running([*ceilings, "grpc"], arguments.core) as (pid, ports):
        readings["bare grpc.aio echo"] = await load_grpc(pid, ports["port"], arguments)
    with running([*ceilings, "http"], arguments.core) as (pid, ports):
        readings["bare uvicorn"] = await load_http(pid, ports["port"], arguments)
    serve = [sys.executable, "-m", "rerankd.cli", "serve", "--grpc-port", "0", "--http-port", "0"]
    with running(serve, arguments.core) as (pid, ports):
        readings["rerankd gRPC unary"] = await load_grpc(pid, ports["grpc"], arguments)
        readings["rerankd gRPC batch"] = await load_batch(pid, ports["grpc"], arguments)
        readings["rerankd HTTP"] = await load_http(pid, ports["http"], arguments)
    return readings


async def measure_telemetry(arguments: argparse.Namespace) -> dict[str, Reading]:
    """Load servers with more and more telemetry in turn, in rounds; keep the round each was least disturbed in.

    Spans go to a collector on another core.
    """
    sampled = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"}
    serve = [sys.executable, "-m", "rerankd.cli", "serve", "--grpc-port", "0", "--http-port", "0"]
    other_core = max(os.sched_getaffinity(0))
    readings: dict[str, Reading] = {}
    with ExitStack() as stack:
        collector = running([sys.executable, str(ROOT / "benchmarks/ceilings.py"), "collector"], other_core)
        _, found = stack.enter_context(collector)
        exported = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{found['port']}",
            "OTEL_METRICS_EXPORTER": "none",
        }
        stages: dict[str, Mapping[str, str]] = {
            NOTHING: {"RERANKD_TELEMETRY__METRICS": "false", "RERANKD_LOG__SAMPLE": "0"},
            "metrics": {"RERANKD_LOG__SAMPLE": "0"},
            "metrics, log": {},
            "metrics, log, traces of 10 %": {**exported, **sampled},
            "metrics, log, traces of all": exported,
        }
        servers = {
            stage: stack.enter_context(running(serve, arguments.core, variables)) for stage, variables in stages.items()
        }
        for _ in range(arguments.rounds):
            for stage, (pid, ports) in servers.items():
                for kind, reading in (
                    ("gRPC", await load_grpc(pid, ports["grpc"], arguments)),
                    ("HTTP", await load_http(pid, ports["http"], arguments)),
                ):
                    name = f"{kind}: {stage}"
                    best = readings.get(name, reading)
                    readings[name] = min(best, reading, key=lambda each: each.cpu_us_per_call)
    return readings


def show_telemetry(readings: Mapping[str, Reading]) -> None:
    """Print what each stage costs beside nothing at all."""
    table = Table(title="what telemetry costs, the same call")
    for heading in ("", "calls/s", "server CPU us/call", "more than nothing"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, reading in sorted(readings.items(), key=lambda pair: pair[0].partition(":")[0]):
        least = readings[f"{name.partition(':')[0]}: {NOTHING}"].cpu_us_per_call
        more = f"{reading.cpu_us_per_call - least:+,.0f} us, {reading.cpu_us_per_call / least - 1:+.1%}"
        table.add_row(name, f"{reading.calls_per_s:,.0f}", f"{reading.cpu_us_per_call:,.0f}", more)
    Console().print(table)


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5, help="length of each run")
    parser.add_argument("--concurrency", type=int, default=16, help="calls under way at once")
    parser.add_argument("--rounds", type=int, default=4, help="how often each stage of telemetry is measured")
    parser.add_argument("--core", type=int, default=0, help="core of the server; the load takes another")
    arguments = parser.parse_args()
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores - {arguments.core} or cores)
    readings = asyncio.run(measure(arguments))
    table = Table(title="local/bm25, 4 documents of 500 bytes, everything on, one core for the server")
    for heading in ("", "calls/s", "server CPU us/call", "of the bare stack's speed"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, reading in readings.items():
        bare = readings["bare uvicorn" if "HTTP" in name or "uvicorn" in name else "bare grpc.aio echo"]
        share = bare.cpu_us_per_call / reading.cpu_us_per_call
        table.add_row(name, f"{reading.calls_per_s:,.0f}", f"{reading.cpu_us_per_call:,.0f}", f"{share:.0%}")
    Console().print(table)
    show_telemetry(asyncio.run(measure_telemetry(arguments)))


if __name__ == "__main__":
    main()
