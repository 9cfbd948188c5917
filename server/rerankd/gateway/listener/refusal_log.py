"""Log lines about refused connections: one a kind in a while, with a count, however many there are."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import structlog

_EVERY_S: Final = 10.0

_log = structlog.get_logger("rerankd.gateway")


class RefusalLog:
    """Counts refused connections by kind and logs each kind at most every ten seconds. For one event loop.

    Args:
        now_s: Clock, in seconds.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._counts: dict[str, int] = {}
        self._logged_s: dict[str, float] = {}

    def note(self, kind: str, address: str, **fields: Any) -> None:
        """Count a connection, and log how many there were since the last line of its kind, if that is due.

        Args:
            kind: One of few: a settings key or a status.
            address: The client's.
            fields: More of the line; of this connection.
        """
        count = self._counts[kind] = self._counts.get(kind, 0) + 1
        now_s = self._now_s()
        if now_s - self._logged_s.get(kind, -_EVERY_S) >= _EVERY_S:
            self._logged_s[kind], self._counts[kind] = now_s, 0
            _log.warning("connections refused", **fields, address=address, refused=count)
