"""Where log lines go: written several at a time, since a line by itself costs as much to write as to make."""

from __future__ import annotations

import asyncio
import atexit
import threading
from typing import Final, TextIO

_DELAY_S: Final = 0.04
"""Longest time a line waits for others."""
_MOST_CHARS: Final = 3_500
"""Written at once, or a line more. Pipes take 4,096 bytes in one piece; what is longer, as it is with lines of unusual
length or in other scripts, may be mixed with that of other processes."""


class Lines:
    """A file of lines. One that is written outside of an event loop, or is urgent, does not wait.

    Safe to use from any thread.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._waiting: list[str] = []
        self._chars = 0
        self._drainer: asyncio.AbstractEventLoop | None = None
        """The event loop that is about to write what waits."""
        self.is_urgent = False
        """Whether the line that comes is to be seen at once: after a fault there may be no later."""
        atexit.register(self.drain)

    def write(self, line: str) -> None:
        """Take a line, its end included."""
        with self._lock:
            self._waiting.append(line)
            self._chars += len(line)

    def flush(self) -> None:
        """Write what waits now, or soon."""
        if self.is_urgent or self._chars >= _MOST_CHARS:
            self.drain()
            return
        if self._drainer is not None and not self._drainer.is_closed():
            return
        try:
            self._drainer = asyncio.get_running_loop()
        except RuntimeError:
            self.drain()
            return
        self._drainer.call_later(_DELAY_S, self._drain_later)

    def _drain_later(self) -> None:
        self._drainer = None
        self.drain()

    def drain(self) -> None:
        """Write what waits now."""
        with self._lock:
            self.is_urgent = False
            lines, self._waiting, self._chars = self._waiting, [], 0
            if lines:
                self._file.write("".join(lines))
                self._file.flush()

    def close(self) -> None:
        """Write what waits; nothing may come after."""
        self.drain()
        atexit.unregister(self.drain)
