"""Periodic measurements: event loop lag, and the gauges of what the service holds at the moment."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Final

from rerankd.telemetry.metrics.instruments import metrics

PERIOD_S: Final = 1.0


class Sampler:
    """Measures once a period until closed. For one event loop.

    Args:
        read: Sets the gauges to the current values; called every period, and before metrics are rendered.
        flush: Counts the calls that have ended and are not counted yet; called before metrics are rendered.
        period_s: Seconds between two measurements.
    """

    def __init__(self, read: Callable[[], None], flush: Callable[[], None], period_s: float = PERIOD_S) -> None:
        self._read = read
        self._flush = flush
        self._period_s = period_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the measuring task."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Cancel the measuring task."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def render(self, accept: str) -> tuple[bytes, str]:
        """Render the current value of all metrics.

        Args:
            accept: The scraper's `Accept` header.

        Returns:
            The body, and its media type.
        """
        self._flush()
        self._read()
        return metrics.render(accept)

    async def _run(self) -> None:
        lag = metrics.loop_lag.of()
        while True:
            due_s = time.perf_counter() + self._period_s
            await asyncio.sleep(self._period_s)
            lag.observe(max(time.perf_counter() - due_s, 0.0))
            self._read()
