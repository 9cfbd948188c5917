"""A server that counts what it does: `python -m tests.costs.counted_server work|memory`.

It is the service as `rerankd serve` runs it on free ports, plus a thread that reads orders from standard input, one a
line, and answers each with one JSON line whose event is `counted`. `start` and `stop` stand around what is counted; any
other order is the path of a file to which that is written by function, which is too much for a line among those of the
log: a pipe takes 4,096 bytes without mixing them with others.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import threading
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Protocol

from rerankd.serving.listening import Addresses
from rerankd.serving.worker import WorkerStart, run_worker
from rerankd.settings import SettingsOrigin
from rerankd.telemetry.calls.deferred import DELAY_S
from rerankd.telemetry.logging import configure_logging

_WORKERS = "rerankd-local"
"""First part of the names of threads that do a call's work, beside the event loop's."""
_DEFERRED_S = 0.2
"""Longer than a call's deferred work waits: metrics, log line, span export."""

Where = CodeType | str
"""A function of Python by its code, one of C by its name."""


class ThreadWork:
    """What one thread was seen to execute: bytecode instructions, and calls of functions of Python and of C."""

    def __init__(self) -> None:
        self.instructions: Counter[Where] = Counter()
        self.calls: Counter[Where] = Counter()
        self._on_instruction = _counter_of_instructions(self.instructions)

    def watch(self) -> None:
        """Count in this thread from now on."""
        sys.setprofile(self._on_call)
        sys.settrace(self._on_frame)

    def clear(self) -> None:
        """Forget what was seen."""
        self.instructions.clear()
        self.calls.clear()

    def _on_frame(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        if frame.f_code.co_filename == __file__:
            return None
        frame.f_trace_lines = False
        frame.f_trace_opcodes = True
        return self._on_instruction

    def _on_call(self, frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if code.co_filename == __file__:
            return
        if event == "c_call":
            self.calls[f"{argument.__module__}:{argument.__qualname__}"] += 1
        elif event == "call":
            self.calls[code] += 1


def _counter_of_instructions(counts: Counter[Where]) -> Any:
    """Make the function that is called at every instruction, and so must be quick."""

    def count(frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "opcode":
            counts[frame.f_code] += 1
        return count

    return count


class Counts(Protocol):
    """One kind of counting. Called in a thread that is not counted."""

    def start(self) -> None:
        """Count from now on."""

    def stop(self) -> dict[str, Any]:
        """Count no further; return what was counted."""
        ...


class Work:
    """Counts the work of the event loop's thread and of the workers.

    Args:
        loop: Of the service.
        workers: Work of every thread that was started so far, or will be.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, workers: list[ThreadWork]) -> None:
        self._loop = loop
        self._workers = workers
        self._own = ThreadWork()

    def start(self) -> None:
        """See `Counts`."""
        time.sleep(_DEFERRED_S)
        gc.disable()
        for each in (self._own, *self._workers):
            each.clear()
        _in_loop(self._loop, self._own.watch)

    def stop(self) -> dict[str, Any]:
        """See `Counts`."""
        time.sleep(_DEFERRED_S)
        _in_loop(self._loop, _ignore)
        gc.enable()
        instructions, calls = self._sums()
        return {"instructions": instructions.total(), "calls": calls.total()}

    def write(self, file: Path) -> None:
        """Write what was counted, by function."""
        file.write_text(json.dumps([_by_name(counts) for counts in self._sums()]))

    def _sums(self) -> tuple[Counter[Where], Counter[Where]]:
        threads = (self._own, *self._workers)
        instructions = sum((each.instructions for each in threads), Counter[Where]())
        return instructions, sum((each.calls for each in threads), Counter[Where]())


class Memory:
    """Counts what Python's allocator hands out.

    Args:
        loop: Of the service.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        gc.collect()
        gc.freeze()  # what is there already takes the collector long to look through

    def start(self) -> None:
        """See `Counts`."""
        self._wait_for_deferred()
        gc.collect()
        gc.disable()
        tracemalloc.start()
        self._blocks = sys.getallocatedblocks()
        self._bytes, _ = tracemalloc.get_traced_memory()

    def stop(self) -> dict[str, Any]:
        """See `Counts`."""
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        self._wait_for_deferred()
        cyclic = gc.collect()
        gc.enable()
        return {
            "peak_bytes": peak - self._bytes,
            "kept_blocks": sys.getallocatedblocks() - self._blocks,
            "cyclic_objects": cyclic,
        }

    def _wait_for_deferred(self) -> None:
        """Return when metrics and log lines of all calls are made: what waits for that is not left behind."""
        time.sleep(DELAY_S)
        for _ in range(2):  # what has fallen due runs in the round after the one that sees it
            _in_loop(self._loop, lambda: None)


def _in_loop(loop: asyncio.AbstractEventLoop, action: Callable[[], None]) -> None:
    """Do something in the event loop's thread, and wait for it."""
    is_under_way = threading.Lock()  # of C: what an event executes would be counted
    is_under_way.acquire()

    def act() -> None:
        action()
        is_under_way.release()

    loop.call_soon_threadsafe(act)
    is_under_way.acquire()


def _ignore() -> None:
    sys.settrace(None)
    sys.setprofile(None)


def _by_name(counts: Counter[Where]) -> Counter[str]:
    found: Counter[str] = Counter()
    for where, count in counts.items():
        found[_name(where)] += count
    return found


def _name(where: Where) -> str:
    if isinstance(where, str):
        return where
    if where.co_filename == "<string>":  # made by dataclasses and namedtuples: told apart by what they take
        return f"{where.co_name}({', '.join(where.co_varnames[1 : where.co_argcount + where.co_kwonlyargcount])})"[:100]
    path = Path(where.co_filename)
    return f"{path.parent.name}/{path.name}:{where.co_qualname}"


def _obey(counts: Counts) -> None:
    """Carry out the orders of standard input until it ends."""
    sys.settrace(None)
    sys.setprofile(None)
    with open(0, "rb", buffering=0) as orders:
        for number, order in enumerate(orders):
            said: dict[str, Any] = {}
            if order.strip() == b"start":
                counts.start()
            elif order.strip() == b"stop":
                said = counts.stop()
            elif isinstance(counts, Work):
                counts.write(Path(order.decode().strip()))
            # At once, and on a line of its own whatever the log is in the middle of.
            os.write(1, f"\n{json.dumps({'event': 'counted', 'number': number, **said})}\n".encode())


def _watch_workers() -> list[ThreadWork]:
    """Count in every thread that is started from now on and does a call's work."""
    workers: list[ThreadWork] = []

    def begin(*_: Any) -> None:
        sys.settrace(None)
        sys.setprofile(None)
        if threading.current_thread().name.startswith(_WORKERS):
            workers.append(ThreadWork())
            workers[-1].watch()

    threading.setprofile(begin)
    return workers


def main(kind: str) -> int:
    """Serve until SIGTERM."""
    origin = SettingsOrigin(overrides={"server.grpc_port": 0, "server.http_port": 0})
    settings = origin.read()
    configure_logging(settings.log)
    workers = _watch_workers() if kind == "work" else []

    def announce(_: Addresses) -> None:
        loop = asyncio.get_running_loop()
        counts: Counts = Work(loop, workers) if kind == "work" else Memory(loop)
        threading.Thread(target=_obey, args=(counts,), daemon=True, name="orders").start()

    return run_worker(WorkerStart(settings, settings, origin), announce)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
