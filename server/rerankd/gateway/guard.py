"""Cancels a call at its deadline, when its body comes too slowly, or when its client disconnects."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Final

from rerankd.contract.errors import ServiceError, deadline_exceeded
from rerankd.engine.byte_budget import HeldBytes
from rerankd.gateway.asgi import Receive
from rerankd.gateway.refusal import ClientGoneError, too_slow

_SHORT_S: Final = 0.05
"""Calls shorter than this are not watched for a disconnect: the task costs as much as decoding the call."""
_EXPIRED: Final = "expired"
_GONE: Final = "gone"
_SLOW: Final = "slow"


class CallGuard:
    """Cancels the task inside its `async with` at the deadline or when the client disconnects.

    The block then raises `DEADLINE_EXCEEDED`, `ClientGoneError`, or the 408 of a body that came too slowly; a
    cancellation from elsewhere stays `CancelledError`.
    """

    def __init__(self, deadline_s: float | None) -> None:
        self._deadline_s = deadline_s
        self._cause: str | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._later: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._is_body_read = False
        self._slow_receive: Receive | None = None
        """Of a call whose body was not read after 50 ms."""
        self.held: HeldBytes | None = None
        """Bytes that are given back at the end."""
        self.is_recorded = False
        """Whether the call within has a record, which then ends at the deadline too."""

    async def __aenter__(self) -> CallGuard:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine that is awaited runs in a task
        self._task = task
        self._loop = task.get_loop()  # asyncio.get_running_loop costs a system call
        self._cancelling = task.cancelling()
        if self._deadline_s is not None:
            delay_s = max(0.0, self._deadline_s - time.monotonic())
            self._timer = self._loop.call_later(delay_s, self._cancel, _EXPIRED)
        return self

    def watch(self, until_gone: Callable[[], Awaitable[None]]) -> None:
        """Run `until_gone` in a task; its return means that the client has disconnected."""
        self._watcher = asyncio.create_task(self._watch(until_gone))

    def watch_soon(self, receive: Receive) -> None:
        """Watch for a disconnect once the call has taken 50 ms; for a request whose body is not read."""
        self._later = self._loop.call_later(_SHORT_S, self.watch, lambda: wait_until_gone(receive))

    def watch_body(self, receive: Receive, pieces: Sequence[bytes], timeout_s: float, min_bytes_per_s: float) -> None:
        """Watch a call whose body is read from now on: for one that comes too slowly, and then for a disconnect.

        One timer of 50 ms serves for both: when it rings, most calls are over, and the bodies of the others read.

        Args:
            receive: Of the request.
            pieces: Grows with the body.
            timeout_s: Time in which a body must have come.
            min_bytes_per_s: One second more is allowed for as many bytes.
        """
        self._is_body_read = False
        self._later = self._loop.call_later(_SHORT_S, self._after_a_while, receive, pieces, timeout_s, min_bytes_per_s)

    def body_was_read(self) -> None:
        """Watch for a disconnect from now on."""
        self._is_body_read = True
        if self._slow_receive is not None:
            assert self._later is not None  # noqa: S101 - it was set with the other
            self._later.cancel()
            self.watch_soon(self._slow_receive)

    def _after_a_while(
        self, receive: Receive, pieces: Sequence[bytes], timeout_s: float, min_bytes_per_s: float
    ) -> None:
        if self._is_body_read:
            self.watch(lambda: wait_until_gone(receive))
            return
        self._slow_receive = receive
        self._await_body(pieces, self._loop.time() - _SHORT_S + timeout_s, min_bytes_per_s)

    def _await_body(self, pieces: Sequence[bytes], due_s: float, min_bytes_per_s: float) -> None:
        """Cancel the call when its body is late; `due_s` is when an empty one would be, by the event loop's clock."""
        left_s = due_s + sum(map(len, pieces)) / min_bytes_per_s - self._loop.time()
        if left_s <= 0:
            self._cancel(_SLOW)
        else:
            self._later = self._loop.call_later(left_s, self._await_body, pieces, due_s, min_bytes_per_s)

    async def _watch(self, until_gone: Callable[[], Awaitable[None]]) -> None:
        await until_gone()
        self._cancel(_GONE)

    def _cancel(self, cause: str) -> None:
        if self._cause is None:
            self._cause = cause
            self._task.cancel()

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        _exception: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None  # break the reference cycle with the guard
        if self.held is not None:
            self.held.clear()
        if self._cause is None:
            return
        is_only_ours = self._task.uncancel() <= self._cancelling
        if exception_type is asyncio.CancelledError and is_only_ours:
            raise self._error() from None

    def _error(self) -> ServiceError | ClientGoneError:
        if self._cause != _EXPIRED:
            return ClientGoneError() if self._cause == _GONE else too_slow()
        error = deadline_exceeded()
        error.is_recorded = self.is_recorded
        return error


async def wait_until_gone(receive: Receive) -> None:
    """Return when the client has disconnected; call after the body was read."""
    while (await receive())["type"] != "http.disconnect":
        pass
