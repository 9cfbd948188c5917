"""Notices that files have changed, by asking for their state: works on every file system and through links."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

Stamp: TypeAlias = tuple[int, int, int]
"""Modification time in ns, size in bytes, inode: of the file a link leads to, so that a swapped link is a change."""


def stamps(files: Iterable[Path]) -> dict[Path, Stamp]:
    """Return the state of every file that is there."""
    found = {}
    for file in files:
        try:
            state = file.stat()
        except OSError:
            continue
        found[file] = (state.st_mtime_ns, state.st_size, state.st_ino)
    return found


class FileWatch:
    """Tells once, for each change, that files differ from what was last read.

    A change counts when two looks in a row see the same: a file that is still being written is left alone. One that is
    missing is no change; it counts when it is there again.
    """

    def __init__(self) -> None:
        self._read: Mapping[Path, Stamp] = {}
        self._seen: Mapping[Path, Stamp] = {}

    def mark(self, found: Mapping[Path, Stamp]) -> None:
        """Take `found`, the state before the files were read, as what is known."""
        self._read = self._seen = dict(found)

    def look(self, found: Mapping[Path, Stamp]) -> bool:
        """Say whether the files have changed and come to rest."""
        is_at_rest = found == self._seen
        self._seen = dict(found)
        return is_at_rest and any(self._read.get(file) != stamp for file, stamp in found.items())
