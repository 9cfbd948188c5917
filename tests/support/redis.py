"""A real `redis-server` on a free port, which tests kill, stop and start again.

The server is the one on PATH, else Debian's. Tests that need it fail, saying why, where neither is to be had.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import time

from tests.support.debian import debian_program
from tests.support.ports import free_port

PACKAGES = ("redis-server", "redis-tools", "libjemalloc2", "liblzf1")
"""The server and those of its libraries that are not on every machine."""
_START_TIMEOUT_S = 20.0


class RedisServer:
    """A Redis without persistence on loopback, under the same port for as long as this object lives."""

    def __init__(self, *arguments: str) -> None:
        self._command, self._environment = redis_command()
        self.port: int = free_port()
        self._arguments = arguments
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = {"port": self.port, "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": "/tmp"}
        flags = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        self._process = subprocess.Popen(
            [self._command, *flags, *self._arguments],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        give_up_s = time.monotonic() + _START_TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > give_up_s:
                self._process.kill()
                raise AssertionError(f"redis-server did not start: {self._process.communicate()[0][-1000:]}")
            time.sleep(0.01)

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()
        self._process.communicate()

    def pause(self) -> None:
        """Have it hang: connections stay open, nothing is answered."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """End the pause."""
        self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(5)[:1] in (b"+", b"-")
        except OSError:
            return False


def redis_command() -> tuple[str, dict[str, str]]:
    """Return the path of `redis-server` and the environment it runs in; fetch it where it is not installed."""
    return debian_program("redis-server", PACKAGES)
