"""Instructions that a call executes in the server, counted by Callgrind: the same on a busy and on a quiet machine.

Times of one program differ by a tenth between two processes; instructions by less than a hundredth. With several
source trees, or other settings beside the usual ones, the table has a ratio to the first, which tells what a change
costs. Each tree needs the dependencies of this environment.

    .venv/bin/python -m benchmarks.instructions --also RUNS__CALLS=all,RUNS__CAPTURE=truncated   # of the run log
"""

from __future__ import annotations

import argparse
import http.client
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

import grpc
import yaml
from rich.console import Console
from rich.table import Table

from benchmarks import workloads
from benchmarks.processes import MissingToolError, Running, running
from benchmarks.servers import ready_ports
from benchmarks.upstream import upstream
from rerank.v1 import rerank_service_pb2 as pb
from rerank.v1 import rerank_service_pb2_grpc as pb_grpc

CALLS: Final = 150
WIDTH: Final = 200
"""Of a table that is not printed to a terminal."""
_SETTLE_S: Final = 8
"""Until models loaded in the background are there."""
_SETTLE_PAUSE_S: Final = 2.0
_SETTLED_CPU_S: Final = 0.04
"""What a server without work uses in a pause at most."""
_SETTLE_TIMEOUT_S: Final = 60.0
NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
SOURCES: Final = ("server", "adapters", "clients/python", "protos/gen/python")
"""Folders of a tree that have the packages."""


class Column(NamedTuple):
    """What is counted: a source tree with some settings."""

    tree: Path
    settings: Mapping[str, str]
    """On top of the usual ones: variables by name, without `RERANKD_`."""
    name: str = ""
    """Of the settings, if they are long."""

    @property
    def title(self) -> str:
        """Name of the tree, and the settings or their name."""
        settings = [self.name] if self.name else [f"{name}={value}" for name, value in self.settings.items()]
        return "\n".join([self.tree.name, *settings])


class Count(NamedTuple):
    """Thousands of instructions a call."""

    total: float
    others: float
    """Of threads that are not the event loop's, in `total`."""

    def __str__(self) -> str:
        return f"{self.total:,.0f} ({self.others:,.0f})"


Rows = Mapping[str, Count]


def count(
    column: Column, provider_url: str, folder: Path, wanted: str = "", headers: Mapping[str, str] = NO_HEADERS
) -> Rows:
    """Count by row; only rows whose names have a text.

    Args:
        column: What is counted.
        provider_url: Of the provider that is asked.
        folder: Empty, for files of the server.
        wanted: The text.
        headers: Sent with every call, as metadata over gRPC.
    """
    settings = folder / "rerankd.yaml"
    provider = {"provider": "cohere", "base_url": f"{provider_url}/4", "api_key": "a-key"}
    reranker = {"strategy": "dedicated-model", "config": {"model": "local/bm25"}}
    settings.write_text(
        yaml.safe_dump(
            {"providers": {"far": provider}, "rerankers": {"a-reranker": reranker}, "cache": {"enabled": False}}
        )
    )
    profile = folder / "callgrind"
    valgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--separate-threads=yes"]
    valgrind.append(f"--callgrind-out-file={profile}")
    serve = ["-m", "rerankd.cli", "serve", "--grpc-port", "0", "--http-port", "0", "--config", str(settings)]
    variables = {
        "PYTHONPATH": os.pathsep.join(str(column.tree / each) for each in SOURCES),
        "RERANKD_LOG__FORMAT": "json",
        "RERANKD_STORE__STATE_DIR": str(folder),
        "RERANKD_REGISTRY__POLL_S": "3600",  # by the clock, which is slow here
        "OTEL_SDK_DISABLED": "true",
        **{f"RERANKD_{name}": value for name, value in column.settings.items()},
    }
    cores = os.sched_getaffinity(0)
    with running([*valgrind, sys.executable, *serve], ready_ports, cores, variables) as server:
        rows = _rows(server, headers)
        rows["HTTP, local/bm25, 4 documents"](20)
        time.sleep(_SETTLE_S)
        _settle(server)
        return {name: _count(server, profile, call) for name, call in rows.items() if wanted in name}


def _rows(server: Running, headers: Mapping[str, str]) -> dict[str, Callable[[int], None]]:
    """Return what makes n calls, by row."""
    metadata = tuple(headers.items())

    def http_calls(model: str, documents: int) -> Callable[[int], None]:
        body = workloads.Workload(workloads.QUERY, workloads.documents(documents)).json_body(model)

        def call(times: int) -> None:
            connection = http.client.HTTPConnection("127.0.0.1", server.ports["http"])
            for _ in range(times):
                connection.request("POST", "/v2/rerank", body, {"content-type": "application/json", **headers})
                response = connection.getresponse()
                content = response.read()
                if response.status != http.client.OK:
                    raise SystemExit(f"HTTP {response.status}: {content.decode()}")
            connection.close()

        return call

    def grpc_calls(model: str) -> Callable[[int], None]:
        message = workloads.Workload(workloads.QUERY, workloads.documents(4)).message(model)

        def call(times: int) -> None:
            with grpc.insecure_channel(f"127.0.0.1:{server.ports['grpc']}") as channel:
                stub = pb_grpc.RerankServiceStub(channel)
                for _ in range(times):
                    stub.Rerank(message, metadata=metadata)

        return call

    def batches(model: str) -> Callable[[int], None]:
        message = workloads.Workload(workloads.QUERY, workloads.documents(4)).message(model)

        def call(times: int) -> None:
            items = (pb.BatchRerankRequest(item=pb.BatchItem(item_id=str(n), request=message)) for n in range(times))
            with grpc.insecure_channel(f"127.0.0.1:{server.ports['grpc']}") as channel:
                answers = list(pb_grpc.RerankServiceStub(channel).BatchRerank(items, metadata=metadata))
            if answers[-1].summary.items_succeeded != times:
                raise SystemExit(f"BatchRerank: {answers[-1]}")

        return call

    return {
        "HTTP, local/bm25, 4 documents": http_calls("local/bm25", 4),
        "HTTP, local/bm25, 100 documents": http_calls("local/bm25", 100),
        "HTTP, a reranker of local/bm25, 4 documents": http_calls("a-reranker", 4),
        "HTTP, asking the provider, 4 documents": http_calls("far/rerank-v3.5", 4),
        "gRPC, local/bm25, 4 documents": grpc_calls("local/bm25"),
        "gRPC, asking the provider, 4 documents": grpc_calls("far/rerank-v3.5"),
        "item of BatchRerank, local/bm25, 4 documents": batches("local/bm25"),
        "item of BatchRerank, asking the provider, 4 documents": batches("far/rerank-v3.5"),
    }


def _count(server: Running, profile: Path, call: Callable[[int], None]) -> Count:
    pid = server.pid
    call(CALLS)
    _settle(server)
    _control(pid, "--zero")
    _control(pid, "--instr=on")
    call(CALLS)
    _settle(server)
    _control(pid, "--instr=off")
    for file in profile.parent.glob(f"{profile.name}*"):
        file.unlink()
    _control(pid, "--dump")
    counts = {}
    for file in profile.parent.glob(f"{profile.name}*-*"):
        totals = re.findall(r"^(?:summary|totals): (\d+)", file.read_text(errors="replace"), re.MULTILINE)
        counts[int(file.name.rpartition("-")[2])] = int(totals[-1]) if totals else 0
    total = sum(counts.values())
    return Count(total / CALLS / 1000, (total - counts[1]) / CALLS / 1000)


def _settle(server: Running) -> None:
    """Wait until deferred work is done, for a minute at most; Callgrind makes the store's start one of seconds."""
    give_up_s = time.monotonic() + _SETTLE_TIMEOUT_S
    used_s = -1.0
    while (now_s := server.cpu_s()) - used_s > _SETTLED_CPU_S and time.monotonic() < give_up_s:
        used_s = now_s
        time.sleep(_SETTLE_PAUSE_S)


def _control(pid: int, command: str) -> None:
    subprocess.run(["callgrind_control", command, str(pid)], check=True, capture_output=True)


def table_of(columns: Sequence[Column], readings: Sequence[Rows]) -> Table:
    """Make the table: a row a kind of call, a column what was counted, and ratios to the first."""
    table = Table(title="thousands of instructions a call (of them in other threads than the event loop's)")
    table.add_column("row", no_wrap=True)
    for number, column in enumerate(columns):
        table.add_column(column.title, justify="right")
        if number:
            table.add_column("ratio", justify="right")
    for name, first in readings[0].items():
        cells = [str(first)]
        for reading in readings[1:]:
            cells += [str(reading[name]), f"{reading[name].total / first.total:.3f}"]
        table.add_row(name, *cells)
    return table


def _settings(text: str) -> dict[str, str]:
    """Read `NAME=VALUE,NAME=VALUE`."""
    pairs = [pair.partition("=") for pair in text.split(",")]
    if not all(name and equals for name, equals, _ in pairs):
        raise argparse.ArgumentTypeError("must be NAME=VALUE,NAME=VALUE")
    return {name: value for name, _, value in pairs}


def main() -> None:
    """Count the instructions of each tree and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = Path(__file__).parent.parent
    parser.add_argument("trees", nargs="*", type=Path, default=[here], help="checkouts to compare; default: this one")
    parser.add_argument("--rows", default="", help="text in the names of the rows to count (default: all)")
    parser.add_argument(
        "--also",
        action="append",
        default=[],
        type=_settings,
        metavar="NAME=VALUE,NAME=VALUE",
        help="settings, RERANKD_ variables without that prefix, with which each tree is counted once more",
    )
    given = parser.parse_args()
    columns = [Column(tree.resolve(), settings) for tree in given.trees for settings in ({}, *given.also)]
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    if shutil.which("valgrind") is None:
        raise MissingToolError("valgrind is not installed; Debian's package of that name has it")
    with tempfile.TemporaryDirectory() as name, console.status("starting") as status:
        folder = Path(name)
        with upstream(folder, os.sched_getaffinity(0)) as provider:
            url = f"http://127.0.0.1:{provider.ports['port']}"
            readings = []
            for number, column in enumerate(columns):
                status.update(f"counting {column.title!r} ({number + 1} of {len(columns)}), about 2 minutes each")
                own = folder / f"column-{number}"
                own.mkdir()
                readings.append(count(column, url, own, given.rows))
    console.print(table_of(columns, readings))


if __name__ == "__main__":
    main()
