"""Work pool: worker threads that share the cores fairly between calls.

The unit of work is one document, or a slice of cheap ones. A free worker takes the call that was served for the
shortest time, so a small call waits for the units that are running and for no others. Only where a stream of small
calls left the oldest less than a quarter of the workers' time does that one go first.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import threading
import time
from collections.abc import Callable
from typing import TypeVar, cast

T = TypeVar("T")

_OLDEST_SHARE = 0.25
"""Share of worker time guaranteed to the oldest call."""
_MOST_PREPAID_S = 0.5
"""Credit limit: worker time the oldest call got beyond its share, counted against it later."""
_arrivals = itertools.count()


class PoolClosedError(Exception):
    """The pool was closed, or the interpreter is ending, before the work was done."""


async def run_blocking(work: Callable[..., T], *arguments: object) -> T:
    """Call `work` in a thread of the event loop's executor, which the interpreter joins before it ends.

    Raises:
        PoolClosedError: The interpreter is ending and starts no further work.
    """
    loop = asyncio.get_running_loop()
    try:
        running = loop.run_in_executor(None, functools.partial(work, *arguments))
    except RuntimeError as error:
        raise PoolClosedError from error
    return await running


class Ticket:
    """Identifies one call to the scheduler; all stages of a call share it, so their worker time adds up."""

    __slots__ = ("arrival", "is_background", "priority", "served_s")

    def __init__(self, *, priority: int = 0, is_background: bool = False) -> None:
        self.arrival = next(_arrivals)
        self.priority = priority
        self.is_background = is_background
        self.served_s = 0.0
        """Worker time spent on the call so far."""


class _Job:
    """State of one `WorkPool.run`; guarded by the pool's lock."""

    __slots__ = ("done", "error", "finish", "is_over", "next", "results", "running", "starts", "ticket", "work")

    def __init__(
        self,
        work: Callable[[int], object],
        count: int,
        ticket: Ticket,
        starts: Callable[[int], bool] | None,
        finish: Callable[[], None],
    ) -> None:
        self.work = work
        self.results: list[object] = [None] * count
        self.ticket = ticket
        self.starts = starts
        self.finish = finish
        self.next = 0
        self.running = 0
        self.done = 0
        self.error: BaseException | None = None
        self.is_over = False


class WorkPool:
    """Threads that run units of many jobs.

    Args:
        threads: Workers; one a core.
        clock: Seconds that only grow, by which calls are served.

    Safe to call from tasks of one event loop. The threads are daemons: whoever made the pool awaits `close` before the
    interpreter ends, because a thread that comes back from native code into an ending interpreter aborts the process.
    """

    def __init__(self, threads: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.threads = threads
        self._clock = clock
        self._wake = threading.Condition()
        self._queued: list[_Job] = []
        self._open: set[_Job] = set()
        self._oldest: Ticket | None = None
        self._owed_s = 0.0
        """Worker time the oldest call is short of its share; negative when it had more."""
        self._is_background_busy = False
        self._is_closed = False
        self._workers: list[threading.Thread] = []
        self._serving = 0
        """Worker threads still running."""
        self._on_end: Callable[[], object] = lambda: None
        """Called by the last worker thread as it ends."""

    async def run(
        self,
        work: Callable[[int], T],
        count: int,
        ticket: Ticket,
        *,
        starts: Callable[[int], bool] | None = None,
        stop_s: float | None = None,
        abandon_s: float | None = None,
    ) -> list[T | None]:
        """Run `work(0)` to `work(count - 1)` on the workers, each started in this order.

        Cancelling the task drops the units that have not begun. The first unit to raise ends the job.

        Args:
            work: Called in a worker thread; must not touch the event loop.
            count: Units.
            ticket: The call they belong to.
            starts: Called in a worker before each unit, with the lock held, so it must be quick; `False` drops that
                unit and all after it.
            stop_s: `time.monotonic()` from which no further unit begins.
            abandon_s: `time.monotonic()` at which units still running are no longer waited for.

        Returns:
            One result a unit, `None` for dropped units.

        Raises:
            PoolClosedError: When the pool is or gets closed.
        """
        if count == 0:
            return []
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()

        def settle() -> None:
            if not future.done():
                future.set_result(None)

        def finish() -> None:
            # A closed event loop has no waiting task.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(settle)

        job = _Job(work, count, ticket, starts, finish)
        self._submit(job)
        now_s = time.monotonic()
        timers = [
            loop.call_later(max(0.0, at_s - now_s), action, job)
            for at_s, action in ((stop_s, self._stop), (abandon_s, self._end))
            if at_s is not None
        ]
        try:
            await future
        finally:
            for timer in timers:
                timer.cancel()
            self._end(job)
        if job.error is not None:
            raise job.error
        return cast("list[T | None]", job.results)

    def load(self) -> int:
        """Count the calls with units queued or running; background work is not counted."""
        with self._wake:
            return len({id(job.ticket) for job in self._open if not job.ticket.is_background})

    def queued_units(self) -> int:
        """Count the units waiting for a worker."""
        with self._wake:
            return sum(len(job.results) - job.next for job in self._queued)

    async def close(self) -> None:
        """Stop the workers; jobs under way raise `PoolClosedError`. Waits for the units that are running.

        Needs no further thread, so it works in `atexit` handlers too.
        """
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        with self._wake:
            self._is_closed = True
            self._on_end = lambda: loop.call_soon_threadsafe(ended.set)
            for job in list(self._open):
                job.error = job.error or PoolClosedError()
                self._retire(job)
            self._wake.notify_all()
            is_busy = self._serving > 0
        if is_busy:
            await ended.wait()
        for worker in self._workers:
            worker.join()
        self._workers.clear()

    def _submit(self, job: _Job) -> None:
        with self._wake:
            if self._is_closed:
                raise PoolClosedError
            if not self._workers:
                self._launch()
            self._queued.append(job)
            self._open.add(job)
            self._wake.notify(min(len(job.results), self.threads))

    def _launch(self) -> None:
        for number in range(self.threads):
            worker = threading.Thread(target=self._serve, name=f"rerankd-local-{number}", daemon=True)
            worker.start()
            self._workers.append(worker)
            self._serving += 1

    def _serve(self) -> None:
        while True:
            with self._wake:
                taken = self._take()
                while taken is None:
                    if self._is_closed:
                        self._serving -= 1
                        if not self._serving:
                            self._on_end()
                        return
                    self._wake.wait()
                    taken = self._take()
            job, unit = taken
            result: object = None
            error: BaseException | None = None
            began_s = self._clock()
            try:
                result = job.work(unit)
            except BaseException as raised:  # handed to the call that waits for it
                error = raised
            with self._wake:
                self._charge(job.ticket, self._clock() - began_s)
                self._record(job, unit, result, error)
            del job, result, error, taken

    def _take(self) -> tuple[_Job, int] | None:
        """Choose the next unit; the lock is held."""
        while (job := self._choose()) is not None:
            unit = job.next
            if job.starts is not None and not job.starts(unit):
                self._drop_queued(job)
                continue
            job.next += 1
            job.running += 1
            if job.ticket.is_background:
                self._is_background_busy = True
            if job.next == len(job.results):
                self._queued.remove(job)
            return job, unit
        return None

    def _choose(self) -> _Job | None:
        ready = [job for job in self._queued if not job.ticket.is_background]
        if not ready:
            # Background work takes one worker at a time, so that a new call finds a free one.
            if self._is_background_busy or self._is_closed:
                return None
            return self._queued[0] if self._queued else None
        oldest = min(ready, key=lambda job: job.ticket.arrival)
        if oldest.ticket is not self._oldest:
            self._oldest = oldest.ticket
            self._owed_s = -min(_MOST_PREPAID_S, oldest.ticket.served_s)
        if self._owed_s > 0:
            return oldest
        return min(ready, key=lambda job: (job.ticket.served_s, job.ticket.priority, job.ticket.arrival))

    def _charge(self, ticket: Ticket, spent_s: float) -> None:
        """Charge a unit's time to its call; the lock is held."""
        ticket.served_s += spent_s
        part_s = spent_s * _OLDEST_SHARE - (spent_s if ticket is self._oldest else 0.0)
        self._owed_s = max(-_MOST_PREPAID_S, self._owed_s + part_s)

    def _record(self, job: _Job, unit: int, result: object, error: BaseException | None) -> None:
        job.running -= 1
        if job.ticket.is_background:
            self._is_background_busy = False
            self._wake.notify()
        if job.is_over:
            return
        if error is not None:
            job.error = error
            self._retire(job)
            return
        job.results[unit] = result
        job.done += 1
        if job.running == 0 and job not in self._queued:
            self._retire(job)

    def _drop_queued(self, job: _Job) -> None:
        """Drop the units that have not started; the lock is held."""
        if job in self._queued:
            self._queued.remove(job)
        if job.running == 0:
            self._retire(job)

    def _retire(self, job: _Job) -> None:
        """End the job and wake the waiting task, once; the lock is held."""
        if job in self._queued:
            self._queued.remove(job)
        self._open.discard(job)
        if not job.is_over:
            job.is_over = True
            job.finish()

    def _stop(self, job: _Job) -> None:
        with self._wake:
            if not job.is_over:
                self._drop_queued(job)

    def _end(self, job: _Job) -> None:
        with self._wake:
            self._retire(job)
