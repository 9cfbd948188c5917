"""Scores that one call is fetching and others wait for."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager


class Flight:
    """The misses of one call while they are under way."""

    __slots__ = ("_landed", "is_stored", "scores")

    def __init__(self, *, is_stored: bool) -> None:
        self._landed = asyncio.Event()
        self.scores: Mapping[bytes, float] = {}
        """What came of it, finite scores alone; empty until it has landed, and where it failed."""
        self.is_stored = is_stored
        """Whether the call that fetches also stores."""

    async def wait(self) -> None:
        """Wait until it has landed, well or not. Being cancelled here disturbs nobody else."""
        await self._landed.wait()

    def land(self) -> None:
        """Wake everyone who waits."""
        self._landed.set()


class FlightBoard:
    """Which keys are under way in this process. For one event loop."""

    def __init__(self) -> None:
        self._flights: dict[bytes, Flight] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def split(self, keys: Iterable[bytes]) -> tuple[list[bytes], dict[bytes, Flight]]:
        """Part keys into those nobody fetches and the flights of the others."""
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
        """Hold keys that nobody else holds while they are fetched; they are let go whatever happens.

        Args:
            keys: Free keys, as `split` returned them without an await since.
            is_stored: Whether the call stores what it fetches.

        Yields:
            A dict to put the scores in; those who wait get the finite ones.
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
    """Leave out what is no number to keep or share."""
    if all(map(math.isfinite, scores.values())):
        return scores
    return {key: score for key, score in scores.items() if math.isfinite(score)}
