"""Meters, charges and the protocol of a ledger, which admits calls within limits and budgets.

A call *reserves* an estimate on every meter that applies to it, in one atomic step; it is *settled* to what it used
when it ends. What is reserved counts like what was used, so a burst overruns nothing. A reservation belongs to its
process, the owner, and ends with it: soon after a process has died nothing of it is reserved any more (`OWNER_TTL_S`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol, TypeAlias

from rerankd.access.limits.windows import Window

OWNER_TTL_S: Final = 6.0
"""Seconds after which the reservations of a silent process are dropped."""
HEARTBEAT_S: Final = 2.0
"""Seconds between the heartbeats of a process."""
ROUNDING: Final = 1e-9
"""Share of a limit by which sums may exceed it."""
Stored: TypeAlias = tuple[int, float, float]
"""What is stored of a meter: period, use in it, use in the period before."""


class Charge(NamedTuple):
    """What one call takes of one meter."""

    meter: str
    """Name of the meter: `<limit>:<quantity>:<subject>`."""
    limit: float
    """Most of `window` used and reserved, or reserved if it has none; `inf` counts without limiting."""
    amount: float
    """Estimate to reserve, at least 0."""
    window: Window | None
    """In which use counts; `None` for what is only held while the call runs, such as a slot."""
    is_final: bool = False
    """Whether the call uses `amount` however it ends, so that a ledger may count it as used at once; needs a window."""


class Reading(NamedTuple):
    """State of a meter when it is read, or at a refusal."""

    charge: Charge
    used: float
    """Use that counts now, and reservations."""


@dataclass(slots=True)
class Lease:
    """An admitted call; must be settled."""

    charges: Sequence[Charge]
    """What it has reserved, n charges."""
    used: Sequence[float]
    """Use that counted then and reservations, the charge's own included, of every charge."""
    id: str = ""
    """Unique id, for ledgers over a network."""
    is_settled: bool = field(default=False, init=False)


class Refusal(NamedTuple):
    """The first charge that exceeds its limit; nothing was reserved."""

    reading: Reading
    retry_after_s: float | None
    """Seconds until it fits if nobody else calls; `None` if it never does, because the limit is below the charge."""


class LedgerUnavailableError(Exception):
    """The ledger did not answer in time; whether something was reserved is unknown, and is put right later."""


class Ledger(Protocol):
    """Counts and reserves. For one event loop; several processes may share the counts."""

    async def start(self) -> None:
        """Open; never fails because the far side is away."""
        ...

    async def close(self) -> None:
        """Release what is left reserved, and close."""
        ...

    async def acquire(self, charges: Sequence[Charge]) -> Lease | Refusal:
        """Reserve all charges or none.

        Args:
            charges: n charges of different meters, n >= 1.

        Raises:
            LedgerUnavailableError: See there.
        """
        ...

    def settle(self, lease: Lease, used: Sequence[float]) -> None:
        """Replace the reservations of a call by what it used, now or soon. Never fails; a second time does nothing.

        Args:
            lease: Of `acquire`.
            used: What it used of the meter of every charge.
        """
        ...

    async def read(self, charges: Sequence[Charge]) -> Sequence[Reading]:
        """Read meters without reserving.

        Raises:
            LedgerUnavailableError: See there.
        """
        ...


def value_of(window: Window | None, row: Stored | None, now_s: float) -> float:
    """Return what counts now of a stored meter.

    Args:
        window: Of the meter; `None`: nothing is stored of it.
        row: Period, use in it, use in the period before; `None` if nothing is stored.
        now_s: Unix time.
    """
    if window is None or row is None:
        return 0.0
    stored, used, before = row
    period = window.period_at(now_s)
    if stored >= period:
        return used + before * window.weight_before(now_s) if before else used
    return used * window.weight_before(now_s) if stored == period - 1 else 0.0


def retry_after_s(charge: Charge, row: Stored | None, reserved: float, now_s: float) -> float | None:
    """Return when a refused charge fits if nobody else calls, in seconds; `None` if never.

    Args:
        charge: Was refused.
        row: As for `value_of`.
        reserved: Reserved on the meter by others; it is taken to be used.
        now_s: Unix time.
    """
    window, room = charge.window, charge.limit - charge.amount
    if room < 0:
        return None
    if window is None:
        return _PLACE_RETRY_S
    left_s = window.remaining_s(now_s)
    if window.is_calendar:
        return left_s
    period = window.period_at(now_s)
    used = before = 0.0
    if row is not None and row[0] >= period:
        used, before = row[1], row[2]
    elif row is not None and row[0] == period - 1:
        before = row[1]
    used += reserved
    length_s = window.span.rolling_s
    if used <= room:  # what is too much is of the period before, and falls with time
        return max(left_s - (room - used) / before * length_s, 0.0) if before else 0.0
    return left_s + (1 - room / used) * length_s


_PLACE_RETRY_S: Final = 1.0
