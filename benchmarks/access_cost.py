"""CPU of a call with a key, spend, limits and a budget, beside the same call of a server that asks for nothing.

All servers run at once and take turns, so that what else the machine does falls on each; the least of the rounds
counts. Of two servers that are started alike one may take 5 % more for a call, so all are started several times, and
what is printed is the median of the starts, and the least and the most. The time is that of the kernel's scheduler for
all threads of the server, waiting not included.

    .venv/bin/python -m benchmarks.access_cost --instructions OTHER-CHECKOUT .   # counted by Callgrind, also when busy
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks import instructions
from benchmarks.upstream import upstream
from rerank.v1 import rerank_service_pb2 as pb
from rerankd.access.key_format import digest_of, new_secret
from tests.costs.counting import Callers, provider
from tests.costs.scenarios import BM25, DOCUMENTS
from tests.support.redis import RedisServer
from tests.support.server import ServerProcess

SECRET: Final = new_secret()
HEADER: Final = ("authorization", f"Bearer {SECRET}")
"""Sent with every call, whether the server looks at it or not."""
REMOTE: Final = "cohere/rerank-v3.5"
_QUERY: Final = "what is the capital of France"
_KEY: Final[Mapping[str, Any]] = {"enabled": True, "keys": {"caller": {"hash": digest_of(SECRET), "group": "g"}}}
_LIMITS: Final = [{"name": "key", "per": "key", "calls_per_minute": 1e6, "budgets": [{"usd": 1e6, "per": "month"}]}]
_LIMITED: Final[Mapping[str, Any]] = {**_KEY, "limits": _LIMITS}


@dataclass(frozen=True)
class Variant:
    """A server to measure."""

    access: Mapping[str, Any] | None = None
    """Its settings of access; `None` for none."""
    of: str = "open"
    """Variant to which its ratio is."""
    workers: int = 1
    has_redis: bool = False
    """Whether limits and budgets are counted in Redis."""


VARIANTS: Final[Mapping[str, Variant]] = {
    "open": Variant(),
    "key": Variant({**_KEY, "spend": {"enabled": False}}),
    "and spend": Variant(_KEY),
    "and limit and budget": Variant(_LIMITED),
    "open, 2 workers": Variant(of="open, 2 workers", workers=2),
    "limit and budget, 2 workers": Variant(_LIMITED, of="open, 2 workers", workers=2),
    "limit and budget, Redis": Variant(_LIMITED, has_redis=True),
}


def rows() -> Mapping[str, Callable[[Callers], object]]:
    """Return what makes one call, by row; 4 documents of 600 characters."""
    request = pb.RerankRequest(model=BM25, query=_QUERY, documents=[pb.Document(text=text) for text in DOCUMENTS])
    body = {"query": _QUERY, "documents": list(DOCUMENTS)}
    return {
        "gRPC, local/bm25": lambda callers: callers.grpc(request, HEADER),
        "HTTP, local/bm25": lambda callers: callers.http({**body, "model": BM25}, HEADER),
        "HTTP, asking the provider": lambda callers: callers.http({**body, "model": REMOTE}, HEADER),
    }


def cpu_us(pid: int) -> float:
    """Return the processor time of all threads of a process and its children so far, in microseconds."""
    threads = [*Path(f"/proc/{pid}/task").iterdir()]
    own = sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e3
    children = [child for thread in threads for child in (thread / "children").read_text().split()]
    return own + sum(cpu_us(int(child)) for child in children)


def environment(variant: Variant, folder: Path, provider_url: str, redis_url: str) -> dict[str, str]:
    """Return the variables of a server."""
    variables = {
        "RERANKD_STORE": json.dumps({"state_dir": str(folder)}),
        "RERANKD_PROVIDERS": json.dumps({"cohere": {"base_url": provider_url, "api_key": "k"}}),
        "RERANKD_CACHE": json.dumps({"enabled": False}),
    }
    if variant.access is not None:
        ledger = {"ledger": {"redis_url": redis_url}} if variant.has_redis else {}
        variables["RERANKD_ACCESS"] = json.dumps({**variant.access, **ledger})
    return variables


def measure(calls: int, rounds: int) -> Mapping[str, Mapping[str, float]]:
    """Start all servers; return the least microseconds a call, by row and variant."""
    least: dict[str, dict[str, float]] = {name: {} for name in rows()}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = stack.enter_context(provider())
        redis = RedisServer()
        stack.callback(redis.kill)
        servers = {}
        for name, variant in VARIANTS.items():
            arguments = ("--workers", str(variant.workers)) if variant.workers > 1 else ()
            server = ServerProcess(*arguments, environment=environment(variant, folder / name, upstream.url, redis.url))
            stack.callback(server.stop)
            servers[name] = server.process.pid, stack.enter_context(Callers(server))
        for number in range(rounds + 1):  # the first one warms
            for row, call in rows().items():
                for name, (pid, callers) in servers.items():
                    before_us = cpu_us(pid)
                    for _ in range(calls):
                        call(callers)
                    took_us = (cpu_us(pid) - before_us) / calls
                    if number:
                        least[row][name] = min(took_us, least[row].get(name, took_us))
    return least


def table_of(starts: Sequence[Mapping[str, Mapping[str, float]]]) -> Table:
    """Make the table of what was measured in each start."""
    table = Table("call", *VARIANTS, title="CPU of the server, us a call, and ratio to the open one (least to most)")
    for row in rows():
        cells = []
        for name, variant in VARIANTS.items():
            us = statistics.median(found[row][name] for found in starts)
            ratios = [found[row][name] / found[row][variant.of] for found in starts]
            spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            cells.append(f"{us:.0f}" if name == variant.of else f"{us:.0f}  {spread}")
        table.add_row(row, *cells)
    return table


COUNTED: Final = ("open", "and spend", "and limit and budget", "limit and budget, Redis")
"""Variants whose instructions are counted."""
_RARELY: Final[Mapping[str, Any]] = {"revoked_within_s": 300.0, "spend": {"write_every_s": 300.0}}
"""What is done by the clock, which is slow under Callgrind."""


def count_instructions(trees: Sequence[Path], variants: Sequence[str], wanted: str) -> Table:
    """Count the instructions of calls with a key, of servers with one worker from each source tree.

    Args:
        trees: Checkouts.
        variants: Names.
        wanted: Text in the names of the rows to count.
    """
    columns: list[instructions.Column] = []
    readings: list[instructions.Rows] = []
    headers = dict([HEADER])
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        asked = stack.enter_context(upstream(folder, os.sched_getaffinity(0)))
        provider_url = f"http://127.0.0.1:{asked.ports['port']}"
        redis = RedisServer()
        stack.callback(redis.kill)
        for tree in trees:
            for name in variants:
                own = folder / f"column-{len(columns)}"
                own.mkdir()
                settings = environment(VARIANTS[name], own, provider_url, redis.url).get("RERANKD_ACCESS")
                access = {} if settings is None else {"ACCESS": json.dumps({**json.loads(settings), **_RARELY})}
                columns.append(instructions.Column(tree.resolve(), access, name))
                readings.append(instructions.count(columns[-1], provider_url, own, wanted, headers))
    return instructions.table_of(columns, readings)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=300, help="calls of a round")
    parser.add_argument("--rounds", type=int, default=4, help="rounds of a start; the least counts")
    parser.add_argument("--starts", type=int, default=9, help="of all servers, some 20 s each")
    parser.add_argument("--instructions", nargs="+", type=Path, metavar="CHECKOUT", help="count instructions instead")
    parser.add_argument("--variants", nargs="+", choices=COUNTED, default=COUNTED, help="those of --instructions")
    parser.add_argument("--rows", default="local/bm25, 4", help="text in the names of the rows of --instructions")
    given = parser.parse_args()
    if given.instructions:
        Console(width=160).print(count_instructions(given.instructions, given.variants, given.rows))
        return
    starts = track(range(given.starts), "starts", console=Console(stderr=True))
    found = [measure(given.calls, given.rounds) for _ in starts]
    Console(width=200).print(table_of(found))


if __name__ == "__main__":
    main()
