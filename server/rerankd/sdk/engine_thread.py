"""Background thread with an event loop of its own, in which the SDK's engine runs."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Final, Protocol, TypeVar

T = TypeVar("T")

_CLOSE_S: Final = 10.0


class Closing(Protocol):
    """A resource of the thread's event loop, closed when the thread stops."""

    async def close(self) -> None:
        """Stop threads and close connections; must not start a thread, which an exiting process cannot do."""
        ...

    def flush(self) -> None:
        """Export buffered telemetry after the last call; may block."""
        ...


class EngineThread:
    """Runs coroutines in a separate event loop. Safe for any number of threads.

    The thread is a daemon: an exiting program does not wait for calls in flight. `stop` also runs at exit, so that no
    engine thread is in native code when the interpreter shuts down, which would abort the process.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._process_id = os.getpid()
        self._owned: list[Closing] = []
        self._thread = threading.Thread(target=self._run, name="rerankd-engine", daemon=True)
        self._thread.start()
        self._is_at_exit = False
        atexit.register(self._stop_at_exit)

    def submit(self, work: Coroutine[object, None, T]) -> Future[T]:
        """Schedule a coroutine with the caller's context variables; cancelling the future cancels it."""
        answer: Future[T] = Future()
        self._loop.call_soon_threadsafe(self._begin, work, answer)
        return answer

    def own(self, opened: Closing) -> None:
        """Close `opened` when the thread stops. Call it from the thread."""
        self._owned.append(opened)

    def stop(self) -> None:
        """Close owned resources, cancel running coroutines and end the thread; waits at most 10 s."""
        atexit.unregister(self._stop_at_exit)
        if self._process_id != os.getpid():
            return  # the child of a fork: the thread is its parent's
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSE_S)

    def _stop_at_exit(self) -> None:
        # Daemon threads that wait for an answer are not woken: they would print how their call failed.
        self._is_at_exit = True
        self.stop()

    def _begin(self, work: Coroutine[object, None, T], answer: Future[T]) -> None:
        task = self._loop.create_task(work)

        def cancel(done: Future[T]) -> None:
            if done.cancelled() and not task.done():
                self._loop.call_soon_threadsafe(task.cancel)

        def settle(done: asyncio.Task[T]) -> None:
            error = None if done.cancelled() else done.exception()
            if self._is_at_exit:
                return
            if done.cancelled():
                answer.cancel()
            elif answer.set_running_or_notify_cancel():
                answer.set_result(done.result()) if error is None else answer.set_exception(error)

        answer.add_done_callback(cancel)
        task.add_done_callback(settle)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(self._close())
        finally:
            self._loop.close()
        for opened in self._owned:
            opened.flush()

    async def _close(self) -> None:
        closed = await asyncio.gather(*(opened.close() for opened in self._owned), return_exceptions=True)
        under_way = asyncio.all_tasks() - {asyncio.current_task()}
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        for error in closed:
            if error is not None:
                raise error
