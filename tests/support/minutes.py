"""Limits per minute, tested without a minute ending in between."""

from __future__ import annotations

import asyncio
import time
from typing import Final

MINUTE_S: Final = 60.0
BURST_S: Final = 15.0
"""What a burst of calls may take on a busy machine."""


async def minute_with_room(needed_s: float = BURST_S) -> None:
    """Wait until no minute ends within `needed_s`, at most so long.

    When one ends, what was used before counts less and less, so that a burst across it passes a few calls more.
    """
    left_s = MINUTE_S - time.time() % MINUTE_S
    if left_s < needed_s:
        await asyncio.sleep(left_s + 0.01)
