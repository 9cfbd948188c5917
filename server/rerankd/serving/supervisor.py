"""Supervises several worker processes that share two ports.

Each worker is a complete service with its own event loop; the kernel distributes connections (SO_REUSEPORT). The
supervisor starts workers, forwards signals, and replaces a worker that dies.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import multiprocessing
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import FrameType

import msgspec
import structlog

from rerankd.local.settings import usable_cores
from rerankd.serving.listening import Addresses, CannotStartError, bind_all, cannot_listen, family_of, find_addresses
from rerankd.serving.worker import EXIT_CANNOT_START, EXIT_OK, WorkerStart, run_worker
from rerankd.settings import Settings, SettingsOrigin
from rerankd.telemetry.logging import configure_logging, label_process
from rerankd.telemetry.metrics import SHARED_FOLDER, forget_process

MAX_DEATHS = 5
"""Deaths of workers within `DEATH_WINDOW_S` after which the supervisor gives up."""
DEATH_WINDOW_S = 60.0

_log = structlog.get_logger("rerankd.serving")
_context = multiprocessing.get_context("spawn")


def supervise(settings: Settings, origin: SettingsOrigin, announce: Callable[[Addresses], None]) -> int:
    """Run `settings.server.workers` workers until SIGTERM or SIGINT; return the exit code.

    Args:
        settings: Initial settings; the threads are divided among the workers.
        origin: Reads them again, in each worker.
        announce: Called with the addresses once every worker is ready.
    """
    try:
        reserved, resolved = _reserve_ports(settings)
    except CannotStartError as error:
        _log.error("cannot start", problem=str(error))
        return EXIT_CANNOT_START
    with contextlib.ExitStack() as stack:
        for reservation in reserved:
            stack.enter_context(reservation)
        try:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="rerankd-metrics-"))
        except OSError as error:
            _log.error(
                "cannot start",
                problem=f"several workers share their metrics in a temporary folder: {error.strerror or error}",
                advice="mount /tmp (docker run --tmpfs /tmp), name a folder in TMPDIR, or set server.workers: 1",
            )
            return EXIT_CANNOT_START
        os.environ[SHARED_FOLDER] = folder  # read when a worker imports its metrics: any of them serves the sum of all
        return _Supervisor(WorkerStart(_share_cores(resolved), settings, origin), announce).run()


def _reserve_ports(settings: Settings) -> tuple[list[socket.socket], Settings]:
    """Bind both ports without listening, to detect conflicts and to resolve port 0 for all workers.

    Raises:
        CannotStartError: A port is in use, or the service cannot or may not listen on the address.
    """
    server = settings.server
    addresses = find_addresses(server, is_authenticated=settings.access.enabled)
    reserved: list[socket.socket] = []
    ports: dict[str, int] = {}
    for kind, port in (("grpc", server.grpc_port), ("http", server.http_port)):
        try:
            holders = bind_all(addresses, port, _hold)
        except OSError as error:
            raise cannot_listen(server.host, port, kind, error) from None
        ports[f"{kind}_port"] = holders[0].getsockname()[1]
        reserved += holders
    return reserved, msgspec.structs.replace(settings, server=msgspec.structs.replace(server, **ports))


def _hold(address: str, port: int) -> socket.socket:
    """Bind a port on which nobody listens, in a way that lets the workers bind it too.

    `SO_REUSEPORT` alone does not bind a port that has connections in TIME_WAIT of a server without it, such as one of
    a single worker. `SO_REUSEADDR` does, but then a second supervisor does not see this one until its workers listen,
    so it is the second choice.
    """
    with _bound(address, port, socket.SO_REUSEADDR) as probe:
        port = probe.getsockname()[1]
    try:
        return _bound(address, port, socket.SO_REUSEPORT)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
    return _bound(address, port, socket.SO_REUSEPORT, socket.SO_REUSEADDR)


def _bound(address: str, port: int, *options: int) -> socket.socket:
    bound = socket.socket(family_of(address))
    try:
        for option in options:
            bound.setsockopt(socket.SOL_SOCKET, option, 1)
        bound.bind((address, port))
    except OSError:
        bound.close()
        raise
    return bound


def _share_cores(settings: Settings) -> Settings:
    """Divide the cores among the workers, unless the settings state the threads per worker."""
    if settings.local.threads is not None:
        return settings
    threads = max(1, usable_cores() // settings.server.workers)
    local = msgspec.structs.replace(settings.local, threads=threads)
    return msgspec.structs.replace(settings, local=local)


def _work(start: WorkerStart, index: int, ready: Connection, balancer_seen: ctypes.c_bool) -> None:
    configure_logging(start.settings.log)
    label_process(worker=index, worker_pid=os.getpid())
    raise SystemExit(run_worker(start, ready.send, balancer_seen))


@dataclass(eq=False, slots=True)
class _Worker:
    index: int
    process: SpawnProcess
    ready: Connection
    """Receives the worker's addresses once, then is closed."""


class _Supervisor:
    def __init__(self, start: WorkerStart, announce: Callable[[Addresses], None]) -> None:
        self._start = start
        self._announce = announce
        self._workers: list[_Worker] = []
        self._deaths_s: list[float] = []
        self._is_stopping = False
        self._ready = 0
        self._balancer_seen = _context.RawValue(ctypes.c_bool, False)

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, self._reload)
        for index in range(self._start.settings.server.workers):
            self._start_worker(index)
        code = EXIT_OK
        while self._workers:
            pending = [worker.ready for worker in self._workers if not worker.ready.closed]
            wait([*(worker.process.sentinel for worker in self._workers), *pending], timeout=1.0)
            self._announce_when_ready()
            code = max(code, self._reap())
        return code

    def _start_worker(self, index: int) -> None:
        receiver, sender = _context.Pipe(duplex=False)
        process = _context.Process(
            target=_work, args=(self._start, index, sender, self._balancer_seen), name=f"rerankd-worker-{index}"
        )
        # Blocked in the new process until its handler is installed: the default action of SIGHUP ends it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        process.start()
        self._workers.append(_Worker(index, process, receiver))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        sender.close()

    def _announce_when_ready(self) -> None:
        """Announce the service once all workers have reported ready."""
        for worker in self._workers:
            if not worker.ready.closed and worker.ready.poll():
                with contextlib.suppress(EOFError):
                    addresses: Addresses = worker.ready.recv()
                    self._ready += 1
                    if self._ready == self._start.settings.server.workers:
                        self._announce(addresses)
                worker.ready.close()

    def _reap(self) -> int:
        """Replace dead workers; return a non-zero exit code to give up."""
        code = EXIT_OK
        for worker in [worker for worker in self._workers if not worker.process.is_alive()]:
            self._workers.remove(worker)
            worker.process.join()
            worker.ready.close()
            forget_process(worker.process.pid)
            exit_code = worker.process.exitcode
            if self._is_stopping:
                # A worker that still starts has no handler for SIGTERM yet.
                code = max(code, EXIT_OK if exit_code in (0, -signal.SIGTERM) else EXIT_CANNOT_START)
                continue
            _log.error("worker died", worker=worker.index, exit_code=exit_code)
            if exit_code == EXIT_CANNOT_START or self._dies_too_often():
                self._stop(signal.SIGTERM, None)
                code = EXIT_CANNOT_START
            else:
                self._start_worker(worker.index)
        return code

    def _dies_too_often(self) -> bool:
        now_s = time.monotonic()
        self._deaths_s = [then_s for then_s in self._deaths_s if now_s - then_s < DEATH_WINDOW_S] + [now_s]
        return len(self._deaths_s) > MAX_DEATHS

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._is_stopping = True
        self._signal_workers(signal.SIGTERM)

    def _reload(self, _number: int, _frame: FrameType | None) -> None:
        self._signal_workers(signal.SIGHUP)

    def _signal_workers(self, number: signal.Signals) -> None:
        for worker in self._workers:
            if worker.process.pid is not None and worker.process.is_alive():
                os.kill(worker.process.pid, number)
