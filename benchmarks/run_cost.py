"""What the run log costs a call: CPU of the server's threads with and without it, in turn.

    .venv/bin/python -m benchmarks.run_cost             # a minute; --calls 1000 --rounds 1 for a quick look

CPU is that of the kernel's accounts, which a busy machine changes less than times. The event loop's thread is what
bounds the throughput of a worker; the writer's thread shares the interpreter with it, but for compression and SQLite.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from tests.costs.counting import provider, settings
from tests.support.server import ServerProcess

AT_ONCE: Final = 16
_DOCUMENTS: Final = [f"{number} text about the capital of France " * 14 for number in range(4)]
_MAIN: Final = ("no run log", "truncated")
MODES: Final[dict[str, dict[str, Any]]] = {
    "no run log": {"calls": "none"},
    "truncated": {"calls": "all"},
    "full": {"calls": "all", "capture": "full"},
    "truncated, sync": {"calls": "all", "durability": "sync", "sync_timeout_s": 30},
}
_RERANKER: Final = {"strategy": "dedicated-model", "config": {"model": "local/bm25"}}
MODELS: Final = {"local/bm25": tuple(MODES), "a-reranker": _MAIN, "vllm/ranker": _MAIN}
"""What is called, and the modes in which: the model alone, a reranker of it, a provider's model without a cache."""


class Cpu(NamedTuple):
    """Microseconds a call."""

    event_loop: float
    writer: float


def measure(mode: dict[str, Any], calls: int, model: str = "local/bm25") -> Cpu:
    """Return the CPU of a server's threads for each of some calls."""
    with tempfile.TemporaryDirectory() as folder, provider() as upstream:
        variables = settings(upstream) | {f"RERANKD_RUNS__{name.upper()}": str(value) for name, value in mode.items()}
        variables |= {"RERANKD_RERANKERS": json.dumps({"a-reranker": _RERANKER}), "RERANKD_CACHE__ENABLED": "false"}
        server = ServerProcess(
            environment={**variables, "RERANKD_STORE__STATE_DIR": folder, "RERANKD_LOG__SAMPLE": "0"}
        )
        try:
            asyncio.run(_call(server.http_url, calls // 4, model))
            before = _cpu_s(server.process.pid)
            asyncio.run(_call(server.http_url, calls, model))
            after = _cpu_s(server.process.pid)
        finally:
            server.stop()
    return Cpu(*((new - old) / calls * 1e6 for old, new in zip(before, after, strict=True)))


async def _call(url: str, calls: int, model: str) -> None:
    """Make calls, `AT_ONCE` at a time."""
    parts = urlsplit(url)
    body = json.dumps({"model": model, "query": "what is the capital of France", "documents": _DOCUMENTS}).encode()
    head = (
        f"POST /v1/rerank HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )

    async def caller(count: int) -> None:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        for _ in range(count):
            writer.write(head.encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            if not answer.startswith(b"HTTP/1.1 200"):
                raise SystemExit(answer.decode())
            length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(caller(calls // AT_ONCE) for _ in range(AT_ONCE)))
    await asyncio.sleep(0.5)  # until the runs are stored


def _cpu_s(pid: int) -> tuple[float, float]:
    """Return the CPU seconds of the event loop's thread, and of all others: of the writer, as the others sleep."""
    threads: dict[int, float] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        threads[int(task.name)] = int((task / "schedstat").read_text().split()[0]) / 1e9
    return threads.pop(pid), sum(threads.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    found: dict[tuple[str, str], list[Cpu]] = {(model, mode): [] for model, modes in MODELS.items() for mode in modes}
    for _ in range(options.rounds):
        for (model, mode), cpus in found.items():
            cpus.append(measure(MODES[mode], options.calls, model))
    print("| model | run log | event loop's thread, us a call | other threads |\n| --- | --- | ---: | ---: |")
    for (model, mode), cpus in found.items():
        event_loop = statistics.median(each.event_loop for each in cpus)
        writer = statistics.median(each.writer for each in cpus)
        print(f"| {model} | {mode} | {event_loop:.0f} | {writer:.0f} |")


if __name__ == "__main__":
    main()
