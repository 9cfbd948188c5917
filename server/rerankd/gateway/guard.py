"""Cancels a call at its deadline, or when its client disconnects."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final

from rerankd.contract.errors import deadline_exceeded
from rerankd.gateway.asgi import Receive
from rerankd.gateway.refusal import ClientGoneError

_SHORT_S: Final = 0.05
"""Calls shorter than this are not watched for a disconnect: the task costs as much as decoding the call."""
_EXPIRED: Final = "expired"
_GONE: Final = "gone"


class CallGuard:
    """Cancels the task inside its `async with` at the deadline or when the client disconnects.

    The block then raises `DEADLINE_EXCEEDED` or `ClientGoneError`; a cancellation from elsewhere stays
    `CancelledError`.
    """

    def __init__(self, deadline_s: float | None) -> None:
        self._deadline_s = deadline_s
        self._cause: str | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._later: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> CallGuard:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine that is awaited runs in a task
        self._task = task
        self._cancelling = task.cancelling()
        if self._deadline_s is not None:
            delay_s = max(0.0, self._deadline_s - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._cancel, _EXPIRED)
        return self

    def watch(self, until_gone: Callable[[], Awaitable[None]]) -> None:
        """Run `until_gone` in a task; its return means that the client has disconnected."""
        self._watcher = asyncio.create_task(self._watch(until_gone))

    def watch_soon(self, receive: Receive) -> None:
        """Watch for a disconnect once the call has taken 50 ms; call after the body was read."""
        self._later = asyncio.get_running_loop().call_later(_SHORT_S, self.watch, lambda: wait_until_gone(receive))

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
        if self._cause is None:
            return
        is_only_ours = self._task.uncancel() <= self._cancelling
        if exception_type is asyncio.CancelledError and is_only_ours:
            raise (deadline_exceeded() if self._cause == _EXPIRED else ClientGoneError()) from None


async def wait_until_gone(receive: Receive) -> None:
    """Return when the client has disconnected; call after the body was read."""
    while (await receive())["type"] != "http.disconnect":
        pass
