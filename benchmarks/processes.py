"""Programs under measurement: started on cores of their own, their output drained, CPU and memory read from /proc."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

STOP_TIMEOUT_S = 30.0
SETTLE_TIMEOUT_S = 10.0
SETTLE_PAUSE_S = 0.5
SETTLED_SHARE = 0.1
"""Of a core: what an idle server may use."""
INHERITED = ("PATH", "HOME", "LANG")
"""Variables of this process that a measured one sees; keys, proxies and settings of the user's are not among them."""

Ports = Mapping[str, int]
FindPorts = Callable[[str], Ports | None]
"""Reads the ports from the line of output that says the program is ready; `None` for any other line."""


class MissingToolError(Exception):
    """Something that is not on this machine; the message says how to install it."""


class BenchmarkError(Exception):
    """A measurement that means nothing: a program that did not start, or calls that failed."""


@dataclass(frozen=True)
class Running:
    """A program that is ready."""

    pid: int
    ports: Ports
    start_s: float
    """From its start until it said that it is ready."""

    def cpu_s(self) -> float:
        """CPU seconds the program and its children have used, in user and kernel mode."""
        ticks = 0
        for pid in self._pids():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def rss_mb(self) -> float:
        """Resident memory of the program and its children."""
        kilobytes = 0
        for pid in self._pids():
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    kilobytes += int(line.split()[1])
        return kilobytes / 1024

    def settle(self) -> None:
        """Wait until the program has nothing more to do, for `SETTLE_TIMEOUT_S` at most."""
        give_up_s = time.monotonic() + SETTLE_TIMEOUT_S
        used_s = -1.0
        while (now_s := self.cpu_s()) - used_s > SETTLED_SHARE * SETTLE_PAUSE_S and time.monotonic() < give_up_s:
            used_s = now_s
            time.sleep(SETTLE_PAUSE_S)

    def _pids(self) -> list[int]:
        pids = [self.pid]
        for pid in pids:
            for task in Path(f"/proc/{pid}/task").iterdir():
                pids += map(int, (task / "children").read_text().split())
        return pids


@contextmanager
def running(
    command: Sequence[str],
    find_ports: FindPorts,
    cores: set[int],
    variables: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Running]:
    """Run a program on some cores.

    Raises:
        BenchmarkError: It ended before it was ready; the message has the end of its output.
    """
    began_s = time.monotonic()
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={name: os.environ[name] for name in INHERITED if name in os.environ} | dict(variables),
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    assert process.stdout is not None
    last: deque[str] = deque(maxlen=20)
    ports = None
    for line in process.stdout:
        last.append(line)
        ports = find_ports(line)
        if ports is not None:
            break
    start_s = time.monotonic() - began_s
    if ports is None:
        raise BenchmarkError(f"{Path(command[0]).name} did not start (exit code {process.wait()}):\n{''.join(last)}")
    drain = subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL)
    process.stdout.close()
    try:
        yield Running(process.pid, ports, start_s)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT_S)
        finally:
            process.kill()
            process.wait()
            drain.wait()


def printed_port(line: str) -> Ports | None:
    """Read the port from a line that is nothing but it; a `FindPorts`."""
    return {"port": int(line)} if line.strip().isdigit() else None


def free_port() -> int:
    """Find a port for a program that cannot find one itself."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
