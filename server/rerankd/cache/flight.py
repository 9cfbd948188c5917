"""Single flight: calls that need the same pair at the same time share one provider call."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Mapping
from types import TracebackType


class Flight:
    """The pairs that one call is fetching: a context manager for the time in which they are. Made by `FlightBoard.fly`.

    Args:
        flights: Of all calls, by key.
        keys: Those being fetched.
        is_stored: Whether the fetching call also stores the scores.
    """

    __slots__ = ("_fetched", "_flights", "_has_landed", "_keys", "_landed", "is_stored", "scores")

    def __init__(self, flights: dict[bytes, Flight], keys: Iterable[bytes], *, is_stored: bool) -> None:
        self._flights = flights
        self._keys = dict.fromkeys(keys, self)
        self._fetched: dict[bytes, float] = {}
        self._has_landed = False
        self._landed: asyncio.Event | None = None
        """Made by the first call that waits."""
        self.scores: Mapping[bytes, float] = {}
        """The finite scores fetched; empty until the fetch has ended, and where it failed."""
        self.is_stored = is_stored

    def __enter__(self) -> dict[bytes, float]:
        self._flights.update(self._keys)
        return self._fetched

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if len(self._keys) == len(self._flights):
            self._flights.clear()
        else:
            for key in self._keys:
                del self._flights[key]
        self._keys.clear()  # they refer to the flight
        self.scores = only_finite(self._fetched)
        self._has_landed = True
        if self._landed is not None:
            self._landed.set()

    async def wait(self) -> None:
        """Wait until the fetch has ended, well or not. Cancelling the wait affects no other call."""
        if not self._has_landed:
            self._landed = self._landed or asyncio.Event()
            await self._landed.wait()


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

    def fly(self, keys: Iterable[bytes], *, is_stored: bool) -> Flight:
        """Return the context in which keys are registered as being fetched; it is entered with no await in between.

        Args:
            keys: Free keys of `split`.
            is_stored: Whether the call stores what it fetches.

        Returns:
            Gives a dict for the fetched scores; waiting calls get the finite ones.
        """
        return Flight(self._flights, keys, is_stored=is_stored)


def only_finite(scores: Mapping[bytes, float]) -> Mapping[bytes, float]:
    """Drop scores that are not finite: they are neither stored nor shared."""
    if all(map(math.isfinite, scores.values())):
        return scores
    return {key: score for key, score in scores.items() if math.isfinite(score)}
