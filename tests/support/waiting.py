"""Waiting for what a test is about instead of for a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

GENEROUS_S = 60.0
_TURNS = 50


async def settle() -> None:
    """Let all tasks run until they wait; for code that needs neither sockets nor threads nor timers."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object], timeout_s: float = GENEROUS_S) -> None:
    """Wait until a condition is true that sockets, threads or processes bring about.

    Raises:
        AssertionError: It is not within `timeout_s`.
    """
    give_up_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up_s, "nothing happened"
        await asyncio.sleep(0.002)
