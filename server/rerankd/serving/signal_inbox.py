"""Signals of a process as a queue that its loop can wait for."""

from __future__ import annotations

import signal
import socket
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Self


class SignalInbox:
    """Queues signals in the order in which they come; a context manager, for the main thread.

    Nothing is done in a signal handler, so that none interrupts what the loop is doing.

    Args:
        numbers: Signals to queue.
    """

    def __init__(self, numbers: Sequence[signal.Signals]) -> None:
        self._numbers = numbers
        self.reader, self._writer = socket.socketpair()
        self.reader.setblocking(False)
        self._writer.setblocking(False)

    def __enter__(self) -> Self:
        signal.set_wakeup_fd(self._writer.fileno())
        for number in self._numbers:
            signal.signal(number, _leave_to_reader)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(-1)
        self.reader.close()
        self._writer.close()

    def take(self) -> list[signal.Signals]:
        """Return the signals that have come since the last time; `reader` is readable while there are any."""
        try:
            return [signal.Signals(number) for number in self.reader.recv(256)]
        except BlockingIOError:
            return []


def _leave_to_reader(_number: int, _frame: FrameType | None) -> None:
    """Have Python write the number into the socket, which it does for handled signals alone."""
