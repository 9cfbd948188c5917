"""A real `rerankd serve` in a process of its own, for tests."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.canary import LOG, hear

START_TIMEOUT_S = 180.0
"""For machines whose cores are all taken."""
LOG_TIMEOUT_S = 60.0
"""Whoever waits for a line of the log waits for the server, not for a time."""
SERVE = ("rerankd.cli", "serve", "--grpc-port", "0", "--http-port", "0")


class ServerProcess:
    """Starts the server on free ports, with a store of its own, waits for all its workers, and collects its log.

    Args:
        arguments: Further arguments of the program.
        program: Module and arguments; default: `rerankd serve` on free ports.
        environment: Variables on top of this process's.
        preloads: Whether `local/default` is loaded before it is ready, as by default, for tests of the start, of memory
            or of time; others have it loaded by the first call that names it, which saves half a second and 250 MB.
    """

    def __init__(
        self,
        *arguments: str,
        program: Sequence[str] = SERVE,
        environment: Mapping[str, str] | None = None,
        preloads: bool = False,
    ) -> None:
        self.log: list[dict[str, Any]] = []
        self._log_grew = threading.Condition()
        self.process = subprocess.Popen(
            [sys.executable, "-m", *program, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **_own_state(), **_settings(preloads=preloads), **(environment or {})},
        )
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        try:
            ready = self.wait_for_log("ready", timeout_s=START_TIMEOUT_S)
            for worker in range(_workers_of(arguments)):
                self.wait_for_log("ready", timeout_s=START_TIMEOUT_S, worker=worker)
        except AssertionError:
            self.process.kill()
            raise
        self.start_cpu_s = self._cpu_s()
        """Seconds of CPU until it was ready."""
        self.grpc_address = f"127.0.0.1:{ready['grpc_port']}"
        self.http_url = f"http://127.0.0.1:{ready['http_port']}"

    def _cpu_s(self) -> float:
        after_name = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        in_user, in_kernel = after_name[11:13]
        return (int(in_user) + int(in_kernel)) / os.sysconf("SC_CLK_TCK")

    def _read_log(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            hear(LOG, line)
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                entry = {"event": "not json", "line": line}
            with self._log_grew:
                self.log.append(entry)
                self._log_grew.notify_all()
        with self._log_grew:
            self.log.append({"event": "end of log"})
            self._log_grew.notify_all()

    def wait_for_log(self, event: str, *, timeout_s: float = LOG_TIMEOUT_S, **fields: Any) -> dict[str, Any]:
        """Return the first log entry of this event whose fields equal `fields`."""
        give_up_s = time.monotonic() + timeout_s
        with self._log_grew:
            while True:
                for entry in self.log:
                    if entry.get("event") == event and fields.items() <= entry.items():
                        return entry
                has_ended = bool(self.log) and self.log[-1]["event"] == "end of log"
                if has_ended or not self._log_grew.wait(max(0.0, give_up_s - time.monotonic())):
                    raise AssertionError(f"no log entry {event} {fields}; the log: {self.log[-20:]}")

    def calls(self) -> list[dict[str, Any]]:
        """Return the log entries of calls."""
        return [entry for entry in self.log if entry.get("event") == "call"]

    def stop(self, number: int = signal.SIGTERM, timeout_s: float = 40.0) -> int:
        """Signal the server and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            code = self.process.wait(timeout_s)
        finally:
            self.process.kill()
            self._reader.join(5)
            for stream in (self.process.stdin, self.process.stdout):
                assert stream is not None
                stream.close()
        return code


def _workers_of(arguments: Sequence[str]) -> int:
    """Return how many workers are asked for by argument; 0 where none are, or one, which has no number."""
    given = dict(itertools.pairwise(arguments)).get("--workers", "0")
    return int(given) if int(given) > 1 else 0


def _settings(*, preloads: bool) -> dict[str, str]:
    return {"RERANKD_LOG__FORMAT": "json", "RERANKD_LOCAL__PRELOAD": str(preloads).lower()}


def _own_state() -> dict[str, str]:
    """Name the folder of a new store; one that another server left has its rows, and takes half a second to be read."""
    return {"XDG_STATE_HOME": tempfile.mkdtemp(dir=os.environ.get("XDG_STATE_HOME"))}
