"""An event loop whose time passes at once when nothing is left to do, so that tests of timeouts do not wait."""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

P = ParamSpec("P")
_LONGEST_WAIT_S = 3600.0


class _SkippingSelector(selectors.SelectSelector):
    """Lets the time it is told to wait pass at once; real sockets are not waited for."""

    now_s = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "nothing is left to do: the test waits for ever"
            self.now_s += min(max(timeout, 0.0), _LONGEST_WAIT_S)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Its `time` is the clock of everything under test."""

    def __init__(self) -> None:
        self._skipping = _SkippingSelector()
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.now_s

    def pass_time(self, seconds: float) -> None:
        """Have time pass while the running callback keeps the loop busy."""
        self._skipping.now_s += seconds


def virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test on a loop of its own whose time is virtual."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run


def loop_time() -> float:
    """Return the time of the running loop, in seconds."""
    return asyncio.get_running_loop().time()
