"""What the run log costs a call: CPU of the server's threads with and without it, in turn.

    .venv/bin/python -m benchmarks.run_cost                      # some minutes; --calls 500 --rounds 3 for a quick look
    .venv/bin/python -m benchmarks.run_cost OTHER-CHECKOUT .     # both, in turn

All servers run at once and take turns of a thousand calls, so that what else the machine does falls on each. The least
of the rounds counts, as other programs can only add to it; the medians of what a turn costs more than the one without a
run log in its round, and their quartiles, tell how far to trust it. CPU is that of the kernel's accounts. The event
loop's thread is what bounds the throughput of a worker; the writer's thread shares the interpreter with it, but for
SQLite and compression.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import grpc
from rich.console import Console
from rich.table import Table

from benchmarks import workloads
from benchmarks.instructions import SOURCES, WIDTH
from tests.costs.counting import provider, settings
from tests.support.server import ServerProcess
from tests.support.transports import METHOD

AT_ONCE: Final = 16
DEFERRED_S: Final = 0.6
"""Until the runs of the last calls are stored."""
MODES: Final[Mapping[str, Mapping[str, Any]]] = {
    "none": {"calls": "none"},
    "truncated": {"calls": "all"},
    "full": {"calls": "all", "capture": "full"},
    "truncated, sync": {"calls": "all", "durability": "sync", "sync_timeout_s": 30},
}
_RERANKER: Final = {"strategy": "dedicated-model", "config": {"model": "local/bm25"}}
_WORKLOAD: Final = workloads.Workload(workloads.QUERY, [text + text[:60] for text in workloads.documents(4)])
"""Texts of 560 bytes, so that they are cut to `max_chars` and hashed."""


class Cpu(NamedTuple):
    """Microseconds a call."""

    event_loop: float
    others: float
    """Of the writer, as the other threads sleep."""

    @property
    def total(self) -> float:
        """Of all threads."""
        return self.event_loop + self.others


class Variant(NamedTuple):
    """What is measured."""

    tree: Path
    mode: str


Call = Callable[[ServerProcess, int], Awaitable[None]]
Cpus = Mapping[str, Mapping[Variant, Sequence[Cpu]]]
"""By row and variant, one a round."""


def rows() -> Mapping[str, Call]:
    """Return what makes calls of a server, `AT_ONCE` at a time, by row."""
    return {
        "HTTP, local/bm25": lambda server, calls: _http(server, calls, "local/bm25"),
        "gRPC, local/bm25": lambda server, calls: _grpc(server, calls, "local/bm25"),
        "HTTP, a reranker of local/bm25": lambda server, calls: _http(server, calls, "a-reranker"),
        "HTTP, a provider's model": lambda server, calls: _http(server, calls, "vllm/ranker"),
    }


def measure(variants: Sequence[Variant], calls: int, rounds: int, wanted: str = "") -> Cpus:
    """Measure in turns; only rows whose names have a text."""
    chosen = {name: call for name, call in rows().items() if wanted in name}
    found: dict[str, dict[Variant, list[Cpu]]] = {name: {each: [] for each in variants} for name in chosen}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = stack.enter_context(provider())
        servers = {}
        for number, variant in enumerate(variants):
            variables = _variables(variant, str(folder / str(number))) | settings(upstream)
            migrate = [sys.executable, "-m", "rerankd.cli", "migrate"]  # a store is polled, whether it has runs or not
            subprocess.run(migrate, env={**os.environ, **variables}, check=True, capture_output=True)
            server = ServerProcess(environment=variables)
            stack.callback(server.stop)
            servers[variant] = server
        for turn in range(rounds + 1):
            for name, call in chosen.items():
                for variant, server in servers.items():
                    cpu = _turn(server, call, calls if turn else calls // 4)
                    if turn:  # the first one warms
                        found[name][variant].append(cpu)
    return found


def _variables(variant: Variant, folder: str) -> dict[str, str]:
    log = {f"RERANKD_RUNS__{name.upper()}": str(value) for name, value in MODES[variant.mode].items()}
    return log | {
        "PYTHONPATH": os.pathsep.join([*(str(variant.tree / each) for each in SOURCES), str(variant.tree)]),
        "RERANKD_RERANKERS": json.dumps({"a-reranker": _RERANKER}),
        "RERANKD_CACHE__ENABLED": "false",
        "RERANKD_STORE__STATE_DIR": folder,
        "RERANKD_LOG__SAMPLE": "0",
    }


def _turn(server: ServerProcess, call: Call, calls: int) -> Cpu:
    before = _cpu_s(server.process.pid)
    asyncio.run(_awaited(call(server, calls)))
    time.sleep(DEFERRED_S)
    after = _cpu_s(server.process.pid)
    return Cpu(*((new - old) / calls * 1e6 for old, new in zip(before, after, strict=True)))


async def _awaited(calls: Awaitable[None]) -> None:
    await calls


async def _http(server: ServerProcess, calls: int, model: str) -> None:
    parts = urlsplit(server.http_url)
    body = _WORKLOAD.json_body(model)
    head = f"POST /v1/rerank HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    request = f"{head}\r\n".encode() + body

    async def caller() -> None:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        for _ in range(calls // AT_ONCE):
            writer.write(request)
            answer = await reader.readuntil(b"\r\n\r\n")
            if not answer.startswith(b"HTTP/1.1 200"):
                raise SystemExit(answer.decode())
            length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(caller() for _ in range(AT_ONCE)))


async def _grpc(server: ServerProcess, calls: int, model: str) -> None:
    message = _WORKLOAD.message(model).SerializeToString()
    async with grpc.aio.insecure_channel(server.grpc_address) as channel:
        rerank: Any = channel.unary_unary(METHOD)

        async def caller() -> None:
            for _ in range(calls // AT_ONCE):
                await rerank(message)

        await asyncio.gather(*(caller() for _ in range(AT_ONCE)))


def _cpu_s(pid: int) -> tuple[float, float]:
    """Return the CPU seconds of the event loop's thread, and of all others."""
    threads: dict[int, float] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        threads[int(task.name)] = int((task / "schedstat").read_text().split()[0]) / 1e9
    return threads.pop(pid), sum(threads.values())


def table_of(cpus: Cpus) -> Table:
    """Make the table: the least of the rounds, what that is more than without a run log, and medians of that."""
    table = Table(title="CPU of a call, us")
    for name in ("call, 4 documents", "tree", "run log"):
        table.add_column(name)
    for name in ("event loop", "others", "event loop more", "median", "all more", "median"):
        table.add_column(name, justify="right")
    for row, by_variant in cpus.items():
        for variant, found in by_variant.items():
            bare = by_variant[variant._replace(mode="none")]
            least = f"{min(cpu.event_loop for cpu in found):.0f}", f"{min(cpu.others for cpu in found):.0f}"
            loop = _more([cpu.event_loop for cpu in found], [cpu.event_loop for cpu in bare])
            total = _more([cpu.total for cpu in found], [cpu.total for cpu in bare])
            table.add_row(row, variant.tree.name, variant.mode, *least, *loop, *total)
    return table


def _more(found: Sequence[float], bare: Sequence[float]) -> tuple[str, str]:
    """Return how much more the least is, and the median of the rounds with quartiles, as percentages."""
    ratios = sorted(each / other - 1 for each, other in zip(found, bare, strict=True))
    if not any(ratios):
        return "", ""
    quarter = len(ratios) // 4
    median = f"{statistics.median(ratios):.0%} ({ratios[quarter]:.0%} to {ratios[-1 - quarter]:.0%})"
    return f"{min(found) / min(bare) - 1:.1%}", median


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = Path(__file__).parent.parent
    parser.add_argument("trees", nargs="*", type=Path, default=[here], help="checkouts to compare; default: this one")
    parser.add_argument("--calls", type=int, default=1000, help="of a turn")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--rows", default="", help="text in the names of the rows to measure (default: all)")
    parser.add_argument("--modes", nargs="*", default=["truncated"], choices=list(MODES), help="beside `none`")
    given = parser.parse_args()
    modes = dict.fromkeys(["none", *given.modes])
    variants = [Variant(tree.resolve(), mode) for tree in given.trees for mode in modes]
    Console(width=None if sys.stdout.isatty() else WIDTH).print(
        table_of(measure(variants, given.calls, given.rounds, given.rows))
    )


if __name__ == "__main__":
    main()
