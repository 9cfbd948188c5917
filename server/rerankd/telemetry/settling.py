"""What is left to do when a call has ended, nobody waiting for it any more: to count, log and export it.

It is done for several calls at once. Between calls it costs two to three times what it does in a loop, for by then the
processor has forgotten how it goes. Spans, which few calls have, are gathered for longer.
"""

from __future__ import annotations

import asyncio
import atexit
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

import structlog

_log = structlog.get_logger("rerankd.telemetry")


class Ended(Protocol):
    """Something that has ended."""

    def settle(self) -> None:
        """Do what is left to do of it."""
        ...


class Queue:
    """What is done later, all that waits at once, in order. Safe to use from any thread.

    Args:
        delay_s: Longest time that something waits.
        most: Of what waits; what comes then does not wait for more.
    """

    def __init__(self, delay_s: float, most: int) -> None:
        self._delay_s = delay_s
        self._most = most
        self._waiting: deque[Callable[[], None]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        """The event loop that is about to do it."""

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, act: Callable[[], None], *, is_urgent: bool = False) -> None:
        """Do something soon, or at once where it is urgent or there is no event loop, and what waits before it."""
        self._waiting.append(act)
        if is_urgent or len(self._waiting) >= self._most:
            self.drain()
        elif self._loop is None or self._loop.is_closed():
            try:
                self._loop = asyncio.get_running_loop()
            except RuntimeError:
                self.drain()
            else:
                self._loop.call_later(self._delay_s, self._drain_in_time)

    def drain(self) -> None:
        """Do all that waits."""
        waiting = self._waiting
        while waiting:
            try:
                act = waiting.popleft()
            except IndexError:  # another thread took it
                return
            try:
                act()
            except Exception:
                _log.exception("a call that has ended could not be counted, logged or exported")

    def _drain_in_time(self) -> None:
        self._loop = None
        self.drain()


_calls: Final = Queue(0.05, 128)
_exports: Final = Queue(0.1, 32)


def settle_later(ended: Ended, *, is_urgent: bool = False) -> None:
    """Settle something within 50 ms, with up to 128 others. See `Queue.add`."""
    _calls.add(ended.settle, is_urgent=is_urgent)


def export_later(export: Callable[[], None], *, is_urgent: bool = False) -> None:
    """Make spans of something that is settled, and hand them on, within 100 ms, with up to 32 others. See `Queue.add`.

    The first of several in a row costs three times what the others do.
    """
    _exports.add(export, is_urgent=is_urgent)


def settle() -> None:
    """Settle all that waits, and export it, in the order in which it ended."""
    _calls.drain()
    _exports.drain()


atexit.register(settle)
