"""Ledgers, charges and a clock for tests of limits."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rerankd.access.limits.ledger import Charge, Lease, Ledger, Refusal
from rerankd.access.limits.local_ledger import LocalLedger
from rerankd.access.limits.windows import MINUTE, Window


class Clock:
    """Unix time of a test."""

    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0 // 60 * 60

    def __call__(self) -> float:
        return self.now_s


def local(folder: Path, clock: Callable[[], float] = time.time) -> LocalLedger:
    return LocalLedger(folder / "limits.counts", 1, clock)


def calls(limit: float, amount: float = 1, window: Window | None = MINUTE, meter: str = "a:calls:") -> list[Charge]:
    return [Charge(meter, limit, amount, window)]


async def admitted(ledger: Ledger, charges: Sequence[Charge]) -> Lease:
    outcome = await ledger.acquire(charges)
    assert isinstance(outcome, Lease)
    return outcome


async def refused(ledger: Ledger, charges: Sequence[Charge]) -> Refusal:
    outcome = await ledger.acquire(charges)
    assert isinstance(outcome, Refusal)
    return outcome


async def used(ledger: Ledger, charges: Sequence[Charge]) -> float:
    [reading] = await ledger.read(charges)
    return reading.used


async def comes_to(ledger: Ledger, charges: Sequence[Charge], value: float) -> None:
    """Wait until a meter has a value; settlements over a network come soon, not at once."""

    async def is_so() -> bool:
        return math.isclose(await used(ledger, charges), value, abs_tol=1e-9)

    async with asyncio.timeout(60):
        while not await is_so():
            await asyncio.sleep(0.005)
