"""File change detection by polling `stat`: works on every file system and through symbolic links."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

Stamp: TypeAlias = tuple[int, int, int]
"""Modification time in ns, size in bytes and inode of the link's target, so that replacing a link is a change."""


def stamps(files: Iterable[Path]) -> dict[Path, Stamp]:
    """Return the stamp of every file that exists."""
    found = {}
    for file in files:
        try:
            state = file.stat()
        except OSError:
            continue
        found[file] = (state.st_mtime_ns, state.st_size, state.st_ino)
    return found


class FileWatch:
    """Reports each change of a set of files once.

    A change is reported after two consecutive polls return the same stamps, so that a file is not read while it is
    being written. A missing file is not a change; its return is.
    """

    def __init__(self) -> None:
        self._read: Mapping[Path, Stamp] = {}
        self._seen: Mapping[Path, Stamp] = {}

    def mark(self, found: Mapping[Path, Stamp]) -> None:
        """Set the baseline to `found`, the stamps taken before the files were read."""
        self._read = self._seen = dict(found)

    def look(self, found: Mapping[Path, Stamp]) -> bool:
        """Return whether the files differ from the baseline and have not changed since the previous poll."""
        is_at_rest = found == self._seen
        self._seen = dict(found)
        return is_at_rest and any(self._read.get(file) != stamp for file, stamp in found.items())
