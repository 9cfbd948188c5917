"""Tells processes that count in the same file whether one of them is alone, so that it may count in memory."""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path
from typing import Final

from rerankd.access.limits.ledger import OWNER_TTL_S
from rerankd.store.private_file import create_private_file

_PAUSE_S: Final = 0.01


class SoleCounter:
    """A lock beside the file, shared by all processes that count in it, or held by the one that counts in memory.

    The kernel frees it when a process ends, however it ends.

    Args:
        path: File that is locked; made with its folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    async def share(self) -> None:
        """Wait until no other process counts in memory; after `OWNER_TTL_S` it is taken to be dead.

        Raises:
            OSError: The file cannot be made.
        """
        for _ in range(int(OWNER_TTL_S / _PAUSE_S)):
            if self._lock(fcntl.LOCK_SH):
                return
            await asyncio.sleep(_PAUSE_S)

    def give_way(self) -> None:
        """Let other processes count, after `claim`."""
        self._lock(fcntl.LOCK_SH)

    def claim(self) -> bool:
        """Become the only one that counts; return whether no other process does."""
        if self._lock(fcntl.LOCK_EX):
            return True
        self._lock(fcntl.LOCK_SH)
        return False

    def close(self) -> None:
        """Give up the lock."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _lock(self, kind: int) -> bool:
        if self._file is None:
            create_private_file(self._path)
            self._file = os.open(self._path, os.O_RDWR)
        try:
            fcntl.flock(self._file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
