"""CPU of a call with a key, spend, limits and a budget, beside the same call of a server that asks for nothing.

All servers run at once and take turns, so that what else the machine does falls on each; the least of the rounds
counts. The time is that of the kernel's scheduler for all threads of the server, waiting not included.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from rerank.v1 import rerank_service_pb2 as pb
from rerankd.access.key_format import digest_of, new_secret
from tests.costs.counting import Callers, provider
from tests.costs.scenarios import BM25, DOCUMENTS
from tests.support.server import ServerProcess

SECRET: Final = new_secret()
HEADER: Final = ("authorization", f"Bearer {SECRET}")
"""Sent with every call, whether the server looks at it or not."""
REMOTE: Final = "cohere/rerank-v3.5"
_QUERY: Final = "what is the capital of France"
_KEY: Final[Mapping[str, Any]] = {"enabled": True, "keys": {"caller": {"hash": digest_of(SECRET), "group": "g"}}}
_LIMITS: Final = [{"name": "key", "per": "key", "calls_per_minute": 1e6, "budgets": [{"usd": 1e6, "per": "month"}]}]
VARIANTS: Final[Mapping[str, Mapping[str, Any] | None]] = {
    "open": None,
    "key": {**_KEY, "spend": {"enabled": False}},
    "and spend": _KEY,
    "and limit and budget": {**_KEY, "limits": _LIMITS},
    "and limit and budget, in the file": {**_KEY, "limits": _LIMITS, "ledger": {"write_every_s": 0}},
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
    """Return the processor time of all threads of a process so far, in microseconds."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e3


def measure(calls: int, rounds: int) -> Mapping[str, Mapping[str, float]]:
    """Return the least microseconds a call, by row and variant."""
    least: dict[str, dict[str, float]] = {name: {} for name in rows()}
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        upstream = stack.enter_context(provider())
        servers = {}
        for name, access in VARIANTS.items():
            variables = {
                "RERANKD_STORE": json.dumps({"state_dir": str(Path(folder) / name)}),
                "RERANKD_PROVIDERS": json.dumps({"cohere": {"base_url": upstream.url, "api_key": "k"}}),
                "RERANKD_CACHE": json.dumps({"enabled": False}),
                **({} if access is None else {"RERANKD_ACCESS": json.dumps(access)}),
            }
            server = ServerProcess(environment=variables)
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


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=300, help="calls of a round")
    parser.add_argument("--rounds", type=int, default=6, help="rounds; the least counts")
    given = parser.parse_args()
    table = Table("call", *VARIANTS, title="CPU of the server, us a call, and ratio to the first")
    for row, found in measure(given.calls, given.rounds).items():
        table.add_row(row, *(f"{us:.0f}  {us / found['open']:.2f}" for us in found.values()))
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
