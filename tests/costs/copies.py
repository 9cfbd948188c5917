"""Copies of a call's documents that the server's process holds at once, whoever makes them: Python, C or Rust."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.costs.counting import Callers, UnavailableError, provider, settings
from tests.costs.scenarios import BM25, REMOTE, Scenario, by_grpc, by_http
from tests.support.server import ServerProcess

_ALLOCATOR = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "16384", "MALLOC_MMAP_MAX_": "1000000"}
"""Has glibc take from the system whatever is not small and give it back at once, so that what is held is seen."""
_DOCUMENTS = [f"{index:03d} {'harbour' * 16} " * 6_000 for index in range(8)]
"""Of long words: what a local model makes of words is no copy of a document."""
_SIZE = sum(map(len, _DOCUMENTS))
_WARM_UPS, _ROUNDS = 2, 2
_QUIET_ROUNDS, _QUIET_ROUND_S = 5, 0.02

SCENARIOS = (
    Scenario("grpc_bm25", "gRPC Rerank of long documents by local/bm25", by_grpc(BM25, _DOCUMENTS)),
    Scenario("http_bm25", "POST /v1/rerank, as grpc_bm25", by_http(BM25, _DOCUMENTS)),
    Scenario(
        "grpc_upstream", "gRPC Rerank of long documents by the provider", by_grpc(REMOTE, _DOCUMENTS, is_new=True)
    ),
    Scenario("http_upstream", "POST /v1/rerank, as grpc_upstream", by_http(REMOTE, _DOCUMENTS, is_new=True)),
    Scenario(
        "grpc_returned",
        "as grpc_upstream, with the documents in the answer",
        by_grpc(REMOTE, _DOCUMENTS, is_new=True, returns=True),
    ),
    Scenario(
        "http_returned",
        "as http_upstream, with the documents in the answer, which lists each twice",
        by_http(REMOTE, _DOCUMENTS, is_new=True, returns=True),
    ),
)


def measure() -> dict[str, dict[str, float]]:
    """Measure the memory held at once during a call, in sizes of its documents, by scenario.

    Raises:
        UnavailableError: Elsewhere than on Linux.
    """
    if sys.platform != "linux":
        raise UnavailableError("only Linux tells the largest memory of a process since a moment")
    with provider() as upstream:
        server = ServerProcess(environment=settings(upstream) | _ALLOCATOR, preloads=True)
        with Callers(server) as callers:
            found = {each.name: {"peak_documents": _peak(server, callers, each)} for each in SCENARIOS}
        assert server.stop() == 0
    return found


def _peak(server: ServerProcess, callers: Callers, scenario: Scenario) -> float:
    folder = Path(f"/proc/{server.process.pid}")
    call = scenario.prepare(callers)
    for _ in range(_WARM_UPS):
        call()
    grown = []
    for _ in range(_ROUNDS):
        held = _settled(folder)
        (folder / "clear_refs").write_text("5")  # sets the largest memory to that of the moment
        call()
        grown.append(_status(folder, "VmHWM") - held)
    return min(grown) / _SIZE


def _settled(folder: Path) -> int:
    """Return the memory held once it has stopped shrinking."""
    held, rounds = _status(folder, "VmRSS"), 0
    while rounds < _QUIET_ROUNDS:
        time.sleep(_QUIET_ROUND_S)
        now = _status(folder, "VmRSS")
        rounds, held = rounds + 1 if now == held else 0, now
    return held


def _status(folder: Path, name: str) -> int:
    """Return a size in bytes from a process's status."""
    lines = (folder / "status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
