"""Single flight: calls that need the same pair at the same time share one provider call."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager


class Flight:
    """The pairs that one call is fetching."""

    __slots__ = ("_landed", "is_stored", "scores")

    def __init__(self, *, is_stored: bool) -> None:
        self._landed = asyncio.Event()
        self.scores: Mapping[bytes, float] = {}
        """The finite scores fetched; empty until the fetch has ended, and where it failed."""
        self.is_stored = is_stored
        """Whether the fetching call also stores the scores."""

    async def wait(self) -> None:
        """Wait until the fetch has ended, well or not. Cancelling the wait affects no other call."""
        await self._landed.wait()

    def land(self) -> None:
        """Wake all waiting calls."""
        self._landed.set()


class FlightBoard:
    """The keys being fetched in this process. For one event loop."""

    def __init__(self) -> None:
        self._flights: dict[bytes, Flight] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def split(self, keys: Iterable[bytes]) -> tuple[list[bytes], dict[bytes, Flight]]:
        """Split keys into those that no call is fetching and the flights of the others."""
        if self._flights.keys().isdisjoint(keys):
            return list(keys), {}
        free: list[bytes] = []
        taken: dict[bytes, Flight] = {}
        for key in keys:
            flight = self._flights.get(key)
            if flight is None:
                free.append(key)
            else:
                taken[key] = flight
        return free, taken

    @contextmanager
    def flying(self, keys: Iterable[bytes], *, is_stored: bool) -> Iterator[dict[bytes, float]]:
        """Register keys as being fetched for the duration of the context.

        Args:
            keys: Free keys of `split`, with no await in between.
            is_stored: Whether the call stores what it fetches.

        Yields:
            A dict for the fetched scores; waiting calls get the finite ones.
        """
        flight = Flight(is_stored=is_stored)
        held = dict.fromkeys(keys, flight)
        self._flights.update(held)
        fetched: dict[bytes, float] = {}
        try:
            yield fetched
        finally:
            if len(held) == len(self._flights):
                self._flights.clear()
            else:
                for key in held:
                    del self._flights[key]
            flight.scores = only_finite(fetched)
            flight.land()


def only_finite(scores: Mapping[bytes, float]) -> Mapping[bytes, float]:
    """Drop scores that are not finite: they are neither stored nor shared."""
    if all(map(math.isfinite, scores.values())):
        return scores
    return {key: score for key, score in scores.items() if math.isfinite(score)}
