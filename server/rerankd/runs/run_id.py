"""Ids of runs: UUIDs of version 7, in the order of the calls' starts."""

from __future__ import annotations

import os
import struct
import uuid
from typing import Final

AFTER_ALL: Final = "g"
"""After every id, whose digits are hexadecimal."""
_TICKS_A_MS = 4096
_MAX_TICKS = (1 << 60) - 1
_RANDOM_BITS = 62
_DRAWN: Final = struct.Struct("256Q")
_HALVES: Final = struct.Struct(">2Q")


class RunIds:
    """Makes ids, of random numbers that are drawn 256 at a time: a system call each is dear.

    Safe for concurrent threads. Each process makes its own.
    """

    def __init__(self) -> None:
        self._drawn: list[int] = []

    def new(self, started_at: float) -> str:
        """Return an id that no other run has.

        Args:
            started_at: When the call began, in seconds since 1970; its first 60 bits say so, to a quarter of a
                microsecond.
        """
        try:
            drawn = self._drawn.pop()
        except IndexError:
            first, *others = _DRAWN.unpack(os.urandom(_DRAWN.size))
            self._drawn.extend(others)
            drawn = first
        return _id_at(started_at, drawn >> (64 - _RANDOM_BITS))


def first_run_id(started_at: float) -> str:
    """Return the lowest id of calls that began at this time: those before it have lower ids."""
    return _id_at(started_at, 0)


def time_of(run_id: str) -> float:
    """Return when the call began, in seconds since 1970."""
    bits = uuid.UUID(run_id).int
    return ((bits >> 80) + ((bits >> 64) & 0xFFF) / _TICKS_A_MS) / 1000


def _id_at(started_at: float, random_bits: int) -> str:
    ticks = int(started_at * 1000 * _TICKS_A_MS)
    if not 0 <= ticks <= _MAX_TICKS:
        ticks = 0 if ticks < 0 else _MAX_TICKS
    milliseconds, fraction = divmod(ticks, _TICKS_A_MS)
    text = _HALVES.pack(milliseconds << 16 | 7 << 12 | fraction, 2 << 62 | random_bits).hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
