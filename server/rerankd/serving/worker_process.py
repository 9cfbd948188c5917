"""One of several worker processes, as the supervisor sees it."""

from __future__ import annotations

import contextlib
import ctypes
import math
import multiprocessing
import os
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, Final

from rerankd.serving.listening import Addresses
from rerankd.serving.worker import WorkerStart, run_worker
from rerankd.telemetry.logging import configure_logging, label_process
from rerankd.telemetry.metrics.instruments import SHARED_SLOT

_context: Final = multiprocessing.get_context("spawn")
_LATE_HANDLED: Final = (signal.SIGHUP, signal.SIGUSR2)
"""Blocked in a new process until their handlers are installed: their default action ends it."""


def new_shared_flag() -> Any:
    """Return a `ctypes.c_bool` in memory that workers share."""
    return _context.RawValue(ctypes.c_bool, False)


@dataclass(eq=False, slots=True)
class WorkerProcess:
    """A worker from its start to its end; `spawn` makes one."""

    index: int
    """Zero-based index in the service; a successor has that of its predecessor."""
    slot: int
    """Zero-based slot of its metrics, unique among running workers."""
    generation: int
    """Number of rolling restarts before its start."""
    process: SpawnProcess
    announcement: Connection
    """Receives the worker's addresses once, then is closed."""
    is_ready: bool = False
    kill_at_s: float = math.inf
    """`time.monotonic()` at which a retiring worker is killed."""

    @property
    def is_retired(self) -> bool:
        """Whether a successor has replaced it."""
        return self.kill_at_s < math.inf

    def take_announcement(self) -> Addresses | None:
        """Return the addresses if it has become ready since the last time."""
        if self.announcement.closed or not self.announcement.poll():
            return None
        try:
            addresses: Addresses = self.announcement.recv()
        except EOFError:
            return None
        finally:
            self.announcement.close()
        self.is_ready = True
        return addresses

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self.process.pid is not None and self.process.is_alive():
            os.kill(self.process.pid, number)

    def close(self) -> None:
        """Release the resources of a process that has ended."""
        self.process.join()
        self.announcement.close()


def spawn(index: int, slot: int, generation: int, start: WorkerStart, balancer_seen: ctypes.c_bool) -> WorkerProcess:
    """Start a worker; arguments as of `WorkerProcess`."""
    os.environ[SHARED_SLOT] = str(slot)  # inherited, and read when the worker imports its metrics
    receiver, sender = _context.Pipe(duplex=False)
    process = _context.Process(target=_work, args=(start, index, sender, balancer_seen), name=f"rerankd-worker-{index}")
    with contextlib.closing(sender):
        signal.pthread_sigmask(signal.SIG_BLOCK, _LATE_HANDLED)
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _LATE_HANDLED)
    return WorkerProcess(index, slot, generation, process, receiver)


def _work(start: WorkerStart, index: int, ready: Connection, balancer_seen: ctypes.c_bool) -> None:
    configure_logging(start.settings.log)
    label_process(worker=index, worker_pid=os.getpid())
    parent = multiprocessing.parent_process()
    supervisor = None if parent is None else parent.sentinel
    raise SystemExit(run_worker(start, ready.send, balancer_seen, supervisor))
