"""System calls for a call, of all threads of the server's process."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.costs.counting import Callers, UnavailableError, provider, settings
from tests.costs.scenarios import SMALL, Call, Scenario
from tests.support.debian import debian_program
from tests.support.server import ServerProcess

SCENARIOS = SMALL
_REPEATS = 200
_WAITS = frozenset({"futex", "epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "restart_syscall", "sched_yield"})
"""Waits for locks and for something to do; how many there are depends on which thread comes first."""
_WRITES = frozenset({"write", "writev", "send", "sendto", "sendmsg", "sendmmsg"})
_ROW = re.compile(r" *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)")
"""Of `strace -c`: share, seconds, microseconds a call, calls, errors, name."""


def measure() -> dict[str, dict[str, float]]:
    """Count the system calls of a call, by scenario.

    Raises:
        UnavailableError: Where another process may not be watched.
    """
    return {name: _summary(counted) for name, counted in by_name(SCENARIOS).items()}


def by_name(scenarios: tuple[Scenario, ...]) -> dict[str, dict[str, float]]:
    """Count the system calls of a call by name, by scenario.

    Raises:
        UnavailableError: As `measure`.
    """
    if sys.platform != "linux":
        raise UnavailableError("strace is of Linux")
    with provider() as upstream:
        server = ServerProcess(environment=settings(upstream), preloads=True)
        with Callers(server) as callers:
            found = {each.name: _count(server.process.pid, each.prepare(callers)) for each in scenarios}
        assert server.stop() == 0
    return found


def _summary(counted: dict[str, float]) -> dict[str, float]:
    return {
        "writes": sum(count for name, count in counted.items() if name in _WRITES),
        "system_calls": sum(count for name, count in counted.items() if name not in _WAITS),
        "waits": sum(count for name, count in counted.items() if name in _WAITS),
    }


def _count(pid: int, call: Call) -> dict[str, float]:
    for _ in range(_REPEATS // 10):
        call()
    with TemporaryDirectory() as folder:
        table = Path(folder) / "table"
        with _watched(pid, table):
            for _ in range(_REPEATS):
                call()
        rows = [row for line in table.read_text().splitlines() if (row := _ROW.fullmatch(line))]
    return {row[2]: int(row[1]) / _REPEATS for row in rows if row[2] != "total"}


@contextmanager
def _watched(pid: int, table: Path) -> Iterator[None]:
    """Watch all threads of a process; write the table at the end."""
    try:
        program, environment = debian_program("strace", ["strace", "libunwind8"])
    except AssertionError as error:
        raise UnavailableError(f"there is no strace: {error}") from None
    command = [program, "-c", "-f", "-p", str(pid), "-o", str(table)]
    strace = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    assert strace.stderr is not None
    said = strace.stderr.readline()
    if "attached" not in said:
        strace.communicate()
        raise UnavailableError(f"this process may not be watched: {said.strip()}")
    try:
        yield
    finally:
        strace.send_signal(signal.SIGINT)
        strace.communicate(timeout=60)
