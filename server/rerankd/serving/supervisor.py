"""Supervises several worker processes that share two ports.

Each worker is a complete service with its own event loop; the kernel distributes connections (SO_REUSEPORT). The
supervisor starts workers, forwards signals, starts a worker that has died again, and replaces all of them one after
another when it is told to.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from typing import Final

import msgspec
import structlog

from rerankd.configuration.changes import is_within, keep
from rerankd.local.settings import usable_cores
from rerankd.serving.listening import Addresses, CannotStartError
from rerankd.serving.port_reservation import reserve_ports
from rerankd.serving.signal_inbox import SignalInbox
from rerankd.serving.worker import EXIT_CANNOT_START, EXIT_OK, WorkerStart
from rerankd.serving.worker_process import WorkerProcess, new_shared_flag, spawn
from rerankd.settings import Settings, SettingsError, SettingsOrigin, update
from rerankd.telemetry.logging import configure_logging
from rerankd.telemetry.metrics.instruments import SHARED_FOLDER, forget_process

MAX_DEATHS: Final = 5
"""Deaths of workers within `DEATH_WINDOW_S` after which the supervisor gives up if no other worker is ready."""
DEATH_WINDOW_S: Final = 60.0
LONGEST_DELAY_S: Final = 16.0
"""Before a worker is started again: none after the first death within the window, then 1 s, twice as long each time."""
RETIREMENT_S: Final = 10.0
"""Seconds that a replaced worker may take to close, in addition to the grace period of its calls."""
KEPT: Final = ("server.host", "server.grpc_port", "server.http_port", "server.workers")
"""Settings of the supervisor itself, which a rolling restart does not apply."""

_log = structlog.get_logger("rerankd.serving")


def supervise(settings: Settings, origin: SettingsOrigin, announce: Callable[[Addresses], None]) -> int:
    """Run `settings.server.workers` workers until SIGTERM or SIGINT; return the exit code.

    SIGHUP has all workers reload the settings, SIGUSR2 replaces them one after another.

    Args:
        settings: Initial settings; the threads are divided among the workers.
        origin: Reads them again, in each worker and for a rolling restart.
        announce: Called with the addresses once every worker is ready.
    """
    try:
        reserved, resolved = reserve_ports(settings)
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
        inbox = stack.enter_context(SignalInbox((signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2)))
        return _Supervisor(WorkerStart(_share_cores(resolved), settings, origin), announce, inbox).run()


def _share_cores(settings: Settings) -> Settings:
    """Divide the cores among the workers, unless the settings state the threads per worker."""
    if settings.local.threads is not None:
        return settings
    threads = max(1, usable_cores() // settings.server.workers)
    local = msgspec.structs.replace(settings.local, threads=threads)
    return msgspec.structs.replace(settings, local=local)


class _Supervisor:
    def __init__(self, start: WorkerStart, announce: Callable[[Addresses], None], inbox: SignalInbox) -> None:
        self._start = start
        self._start_before_roll = start
        self._announce = announce
        self._inbox = inbox
        self._workers: list[WorkerProcess] = []
        self._due_s: dict[int, float] = dict.fromkeys(range(start.settings.server.workers), 0.0)
        """When workers that do not run are to be started, by their index."""
        self._deaths_s: list[float] = []
        self._generation = 0
        self._is_rolling = False
        self._is_announced = False
        self._is_stopping = False
        self._balancer_seen = new_shared_flag()

    def run(self) -> int:
        code = EXIT_OK
        self._start_due()
        while self._workers or (self._due_s and not self._is_stopping):
            self._wait()
            for number in self._inbox.take():
                self._obey(number)
            self._note_ready()
            code = max(code, self._reap())
            if not self._is_stopping:
                self._start_due()
                self._roll_on()
        return code

    def _wait(self) -> None:
        """Wait for a signal, for a worker that becomes ready or ends, or until something is due."""
        pending = [worker.announcement for worker in self._workers if not worker.announcement.closed]
        sentinels = [worker.process.sentinel for worker in self._workers]
        wait([self._inbox.reader, *sentinels, *pending], timeout=1.0)

    def _obey(self, number: signal.Signals) -> None:
        if number == signal.SIGHUP:
            self._send_all(signal.SIGHUP)
        elif number == signal.SIGUSR2:
            self._begin_roll()
        else:
            self._stop()

    def _stop(self) -> None:
        self._is_stopping = True
        self._send_all(signal.SIGTERM)

    def _send_all(self, number: signal.Signals) -> None:
        for worker in self._workers:
            worker.send(number)

    def _start_due(self) -> None:
        now_s = time.monotonic()
        for index in [index for index, due_s in self._due_s.items() if due_s <= now_s]:
            del self._due_s[index]
            self._start_worker(index)

    def _start_worker(self, index: int) -> None:
        taken = {worker.slot for worker in self._workers}
        slot = next(slot for slot in itertools.count() if slot not in taken)
        self._workers.append(spawn(index, slot, self._generation, self._start, self._balancer_seen))

    def _note_ready(self) -> None:
        """Announce the service once all workers have reported ready."""
        for worker in self._workers:
            addresses = worker.take_announcement()
            if addresses is None or self._is_announced:
                continue
            ready = {each.index for each in self._workers if each.is_ready}
            if len(ready) == self._start.settings.server.workers:
                self._is_announced = True
                self._announce(addresses)

    def _reap(self) -> int:
        """Handle workers that have ended; return a non-zero exit code to give up."""
        code = EXIT_OK
        for worker in [worker for worker in self._workers if not worker.process.is_alive()]:
            self._workers.remove(worker)
            worker.close()
            forget_process(worker.slot)
            exit_code = worker.process.exitcode
            if self._is_stopping:
                # A worker that still starts has no handler for SIGTERM yet.
                code = max(code, EXIT_OK if exit_code in (0, -signal.SIGTERM) else EXIT_CANNOT_START)
            elif worker.is_retired:
                _log.info("worker replaced", worker=worker.index, exit_code=exit_code)
            else:
                code = max(code, self._see_to_death(worker))
        return code

    def _see_to_death(self, worker: WorkerProcess) -> int:
        """Have a worker that died started again, unless that is hopeless; return a non-zero exit code to give up."""
        delay_s = self._delay_s()
        fields = {"worker": worker.index, "exit_code": worker.process.exitcode}
        if self._is_rolling and not worker.is_ready and worker.generation == self._generation:
            self._give_up_roll()
        if any(other.index == worker.index and not other.is_retired for other in self._workers):
            _log.error("worker died", **fields)
            return EXIT_OK
        is_served = any(other.is_ready for other in self._workers)
        cannot_start = worker.process.exitcode == EXIT_CANNOT_START and not worker.is_ready
        if not is_served and (cannot_start or len(self._deaths_s) > MAX_DEATHS):
            _log.error("worker died", **fields)
            self._stop()
            self._due_s.clear()
            return EXIT_CANNOT_START
        _log.error("worker died", **fields, restart_in_s=delay_s)
        self._due_s[worker.index] = time.monotonic() + delay_s
        return EXIT_OK

    def _delay_s(self) -> float:
        """Note a death; return the seconds after which the worker is to be started again."""
        now_s = time.monotonic()
        self._deaths_s = [then_s for then_s in self._deaths_s if now_s - then_s < DEATH_WINDOW_S] + [now_s]
        deaths = len(self._deaths_s)
        return 0.0 if deaths == 1 else min(2.0 ** (deaths - 2), LONGEST_DELAY_S)

    def _begin_roll(self) -> None:
        """Read the settings again, and begin to replace all current workers by ones with these settings."""
        if self._is_stopping:
            return
        try:
            read = self._start.origin.read()
        except SettingsError as error:
            _log.error("rolling restart refused: the settings cannot be used", problems=error.problems)
            return
        left_out = [path for path in update(self._start.as_read, read).needs_restart if is_within(path, KEPT)]
        if left_out:
            _log.warning("settings changed that a rolling restart does not apply", needs_restart=left_out)
        configure_logging(read.log)
        if not self._is_rolling:
            self._start_before_roll = self._start
        settings = _share_cores(keep(read, self._start.settings, KEPT))
        self._start = WorkerStart(settings, keep(read, self._start.as_read, KEPT), self._start.origin)
        self._generation += 1
        self._is_rolling = True
        _log.info("rolling restart", workers=settings.server.workers)

    def _roll_on(self) -> None:
        """Take the next step: start a successor when all workers are ready, retire its predecessor when it is."""
        now_s = time.monotonic()
        for worker in self._workers:
            if worker.kill_at_s <= now_s:
                _log.error("worker does not end, and is killed", worker=worker.index, pid=worker.process.pid)
                worker.process.kill()
        if not self._is_rolling or self._due_s or any(each.is_retired or not each.is_ready for each in self._workers):
            return
        current = {each.index for each in self._workers if each.generation == self._generation}
        old = next((each for each in self._workers if each.generation < self._generation), None)
        if old is None:
            self._is_rolling = False
            _log.info("rolling restart complete")
        elif old.index in current:
            old.kill_at_s = now_s + self._start.settings.server.drain_grace_s + RETIREMENT_S
            old.send(signal.SIGUSR2)
        else:
            self._start_worker(old.index)

    def _give_up_roll(self) -> None:
        """Keep the current workers, because a successor did not start."""
        replaced = sum(each.generation == self._generation for each in self._workers)
        _log.error("rolling restart stopped: a new worker did not start; the old ones stay", replaced=replaced)
        self._is_rolling = False
        self._start = self._start_before_roll
        for worker in self._workers:
            worker.generation = self._generation
