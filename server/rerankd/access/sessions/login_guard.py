"""Slows down who guesses: failed logins lock an address, and the beginning of a key, for longer and longer."""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import structlog

from rerankd.contract.errors import Reason, ServiceError

MAX_KEPT: Final = 10_000
"""Most addresses and beginnings of keys that are remembered, some 200 bytes each; the oldest are forgotten first."""
FREE_FAILURES: Final = {"address": 10, "key": 4}
"""Failures before the first lock. Several people may share an address."""
MAX_PER_MINUTE: Final = {"address": 120, "key": 30}
"""Most logins, failed or not."""
_LONGEST_LOCK_S: Final = 900.0
_FORGET_AFTER_S: Final = 3600.0
_MINUTE_S: Final = 60.0
_PREFIX_CHARS: Final = 16
_MAX_EXPONENT: Final = 12

_log = structlog.get_logger("rerankd.access")


class _Attempts:
    __slots__ = ("failures", "last_s", "locked_until_s", "minute", "recent")

    def __init__(self) -> None:
        self.failures = 0
        self.locked_until_s = 0.0
        self.last_s = 0.0
        self.minute = 0
        self.recent = 0


class LoginGuard:
    """Counts logins of addresses and of beginnings of keys. For one worker.

    Args:
        clock: Returns seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._salt = secrets.token_bytes(16)
        self._attempts: OrderedDict[tuple[str, str], _Attempts] = OrderedDict()

    def begin(self, address: str, credential: str) -> None:
        """Count a login, as a failed one until `succeeded` is called, so that many at once are counted too.

        Args:
            address: Where it comes from.
            credential: The key or token it is made with.

        Raises:
            ServiceError: `RATE_LIMITED`, with the delay after which it may be tried again.
        """
        now = self._clock()
        subjects = [(subject, self._of(subject)) for subject in self._subjects(address, credential)]
        for (kind, _), found in subjects:
            if found.locked_until_s > now:
                raise _locked(kind, found.locked_until_s - now)
            if found.minute == int(now // _MINUTE_S) and found.recent >= MAX_PER_MINUTE[kind]:
                raise _locked(kind, _MINUTE_S - now % _MINUTE_S)
        for (kind, _), found in subjects:
            _count(found, kind, now)
            if found.failures == FREE_FAILURES[kind] + 1:
                _log.warning("logins are locked after failures", subject=kind, failures=found.failures)

    def succeeded(self, address: str, credential: str) -> None:
        """Take back the failure of a login that succeeded; the failures before it are forgotten for its key only."""
        for subject in self._subjects(address, credential):
            found = self._of(subject)
            found.failures = 0 if subject[0] == "key" else max(0, found.failures - 1)
            found.locked_until_s = 0.0

    def _subjects(self, address: str, credential: str) -> tuple[tuple[str, str], tuple[str, str]]:
        begins = hashlib.sha256(self._salt + credential[:_PREFIX_CHARS].encode("utf-8", "surrogatepass")).hexdigest()
        return ("address", _network_of(address)), ("key", begins)

    def _of(self, subject: tuple[str, str]) -> _Attempts:
        found = self._attempts.get(subject)
        if found is None or self._clock() - found.last_s > _FORGET_AFTER_S:
            found = self._attempts[subject] = _Attempts()
        self._attempts.move_to_end(subject)
        if len(self._attempts) > MAX_KEPT:
            self._attempts.popitem(last=False)
        return found


def _count(found: _Attempts, kind: str, now: float) -> None:
    minute = int(now // _MINUTE_S)
    found.recent = found.recent + 1 if found.minute == minute else 1
    found.minute = minute
    found.last_s = now
    found.failures += 1
    over = found.failures - FREE_FAILURES[kind]
    if over > 0:
        found.locked_until_s = now + min(2.0 ** min(over - 1, _MAX_EXPONENT), _LONGEST_LOCK_S)


def _network_of(address: str) -> str:
    """Return whose address it is: an IPv6 address counts as its /64, which one host may have to itself."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False))


def _locked(kind: str, retry_after_s: float) -> ServiceError:
    whose = "from this address" if kind == "address" else "with this key"
    return ServiceError(
        Reason.RATE_LIMITED,
        f"too many logins {whose}; try again in {max(1, round(retry_after_s))} s",
        metadata={"limit": "logins", "per": kind},
        retry_after_s=retry_after_s,
    )
