"""Load: `wrk` over HTTP, `benchmarks.grpc_load` over gRPC, and `h2load` beside the latter as a second opinion."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from types import MappingProxyType
from typing import Any, Final, Literal

from benchmarks.grpc_load import CALLS_A_CONNECTION, METHODS
from benchmarks.processes import BenchmarkError, MissingToolError
from benchmarks.workloads import MARK

CALLS_A_RUN: Final = 10_000_000
"""More than any run makes: each run's numbers begin where no other's reach."""
GRACE_S: Final = 60.0

WRK_SCRIPT: Final = """\
local file = io.open(os.getenv("REQUEST_BODY"), "rb")
local body = file:read("*a")
file:close()
local parts, start = {}, 1
while true do
  local first, last = body:find("MARK", start, true)
  table.insert(parts, body:sub(start, (first or 0) - 1))
  if not first then break end
  start = last + 1
end
local number = tonumber(os.getenv("FIRST_NUMBER"))
local path = os.getenv("REQUEST_PATH")
local headers = {["content-type"] = "application/json", ["authorization"] = os.getenv("REQUEST_KEY")}
function request()
  number = number + 1
  return wrk.format("POST", path, headers, table.concat(parts, string.format("%010d", number)))
end
function done(summary, latency)
  local errors = summary.errors
  print(string.format('{"calls": %d, "seconds": %f, "p50_ms": %f, "p99_ms": %f, "refused": %d, "broken": %d}',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
"""


class StalledError(Exception):
    """No call ended, and none failed: the machine did something else."""


Driver = Literal["http", "grpc", "batch", "h2load"]


@dataclass(frozen=True)
class Load:
    """What the side of the callers saw."""

    calls: int
    seconds: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Aim:
    """What is called, and how hard."""

    port: int
    concurrency: int
    seconds: int
    body: bytes
    """The encoded request, perhaps with `MARK`."""
    path: str = ""
    """Of HTTP."""
    key: str = "none"
    """Value of the authorization header, of HTTP."""
    scheme: str = "http"
    """Of HTTP: `http` or `https`."""


class Drivers:
    """Runs load from the cores of this process.

    Args:
        folder: For requests and scripts; not shared with anything.

    Raises:
        MissingToolError: There is no wrk.
    """

    def __init__(self, folder: Path) -> None:
        self._wrk = _tool("wrk", "wrk")
        self._folder = folder
        self._runs, self._files = itertools.count(), itertools.count()
        (folder / "load.lua").write_text(WRK_SCRIPT.replace("MARK", MARK))

    def drive(self, kind: Driver, aim: Aim) -> Load:
        """Load in one of the ways below; several may run at once."""
        ways = {"http": self.http, "grpc": self.grpc, "batch": self.batch, "h2load": self.h2load}
        return ways[kind](aim)

    def http(self, aim: Aim) -> Load:
        """Load with wrk, one connection for each call under way."""
        variables = {
            "REQUEST_BODY": str(self._write(aim.body)),
            "REQUEST_PATH": aim.path,
            "REQUEST_KEY": aim.key,
            "FIRST_NUMBER": str(self._first_number()),
        }
        command = [self._wrk, "-t1", f"-c{aim.concurrency}", f"-d{aim.seconds}", "--timeout", "20"]
        url = f"{aim.scheme}://127.0.0.1:{aim.port}"
        said = _run([*command, "-s", str(self._folder / "load.lua"), url], aim.seconds, variables)
        found = json.loads(said.splitlines()[-1])
        if found.pop("refused") or found.pop("broken"):
            raise BenchmarkError(f"calls of {url}{aim.path} failed:\n{said}")
        if not found["calls"]:
            raise StalledError(f"no call ended within {aim.seconds} s")
        return Load(**found)

    def grpc(self, aim: Aim) -> Load:
        """Load with unary calls."""
        return self._grpc("unary", aim)

    def batch(self, aim: Aim) -> Load:
        """Load with the items of one batch stream."""
        return self._grpc("batch", aim)

    def _grpc(self, kind: str, aim: Aim) -> Load:
        arguments = {
            "port": aim.port,
            "request": self._write(aim.body),
            "first": self._first_number(),
            "concurrency": aim.concurrency,
            "seconds": aim.seconds,
        }
        options = [f"--{name}={value}" for name, value in arguments.items()]
        said = _run([sys.executable, "-m", "benchmarks.grpc_load", kind, *options], aim.seconds)
        return Load(**json.loads(said))

    def h2load(self, aim: Aim) -> Load:
        """Load with unary calls whose bytes are all the same; of their outcome it sees the HTTP status alone.

        Raises:
            MissingToolError: There is no h2load.
        """
        tool = _tool("h2load", "nghttp2-client")
        request = self._write(struct.pack(">BI", 0, len(aim.body)) + aim.body)
        log = self._folder / "h2load.log"
        log.unlink(missing_ok=True)
        connections = -(-aim.concurrency // CALLS_A_CONNECTION)
        options = [
            f"-c{connections}",
            f"-m{-(-aim.concurrency // connections)}",
            f"-D{aim.seconds}",
            "-t1",
            "-w20",
            "-W24",
        ]
        headers = ["-Hcontent-type: application/grpc", "-Hte: trailers"]
        url = f"http://127.0.0.1:{aim.port}{METHODS['unary']}"
        said = _run([tool, *options, *headers, f"-d{request}", f"--log-file={log}", url], aim.seconds)
        counts = re.search(r"requests: .* (\d+) succeeded, (\d+) failed", said)
        lines = [line.split("\t") for line in log.read_text().splitlines()]
        if not counts or counts[2] != "0" or not lines or any(line[1] != "200" for line in lines):
            raise BenchmarkError(f"calls of {url} failed:\n{said}")
        cuts = quantiles((int(line[2]) / 1e3 for line in lines), n=100, method="inclusive")
        return Load(int(counts[1]), float(aim.seconds), cuts[49], cuts[98])

    def _first_number(self) -> int:
        return next(self._runs) * CALLS_A_RUN

    def _write(self, body: bytes) -> Path:
        path = self._folder / f"request-{next(self._files)}"
        path.write_bytes(body)
        return path


def _tool(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise MissingToolError(f"{name} is not installed: apt-get install {package}")
    return found


def _run(command: Sequence[str], seconds: float, variables: Mapping[str, str] = MappingProxyType({})) -> str:
    environment = os.environ | variables
    done: Any = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds + GRACE_S, check=False, env=environment
    )
    if done.returncode:
        raise BenchmarkError(f"{Path(command[0]).name} ended with {done.returncode}: {done.stderr or done.stdout}")
    return str(done.stdout)
