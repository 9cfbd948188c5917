"""What is left to do when a call has ended, nobody waiting for it any more: to count, log and export it.

It is done for several calls at once. Between calls it costs two to three times what it does in a loop, for by then the
processor has forgotten how it goes.
"""

from __future__ import annotations

import asyncio
import atexit
from collections import deque
from typing import Final, Protocol

import structlog

_DELAY_S: Final = 0.01
"""Longest time that something waits."""
_MOST: Final = 64
"""Of what waits; further calls that end do not wait for more."""

_log = structlog.get_logger("rerankd.telemetry")


class Ended(Protocol):
    """Something that has ended."""

    def settle(self) -> None:
        """Do what is left to do of it."""
        ...


class _State:
    loop: asyncio.AbstractEventLoop | None = None
    """The event loop that is about to do it."""


_state = _State()
_waiting: deque[Ended] = deque()


def settle_later(ended: Ended, *, is_urgent: bool = False) -> None:
    """Settle something within 10 ms, or at once where it is urgent or there is no event loop, and what waits before it.

    Safe to use from any thread.
    """
    _waiting.append(ended)
    if is_urgent or len(_waiting) >= _MOST:
        settle()
    elif _state.loop is None or _state.loop.is_closed():
        try:
            _state.loop = asyncio.get_running_loop()
        except RuntimeError:
            settle()
        else:
            _state.loop.call_later(_DELAY_S, _settle_in_time)


def _settle_in_time() -> None:
    _state.loop = None
    settle()


def settle() -> None:
    """Settle all that waits, in the order in which it ended."""
    while _waiting:
        try:
            ended = _waiting.popleft()
        except IndexError:  # another thread took it
            return
        try:
            ended.settle()
        except Exception:
            _log.exception("a call that has ended could not be counted, logged or exported")


atexit.register(settle)
