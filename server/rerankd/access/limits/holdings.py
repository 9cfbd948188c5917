"""What every process has reserved: a column of amounts for each, in a file that its process keeps locked.

The kernel frees the lock of a process that ends, however it ends, and the others drop what it had reserved.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from rerankd.access.limits.counts_file import UnusableFileError, allocate, take_lock

_MAX_PROCESSES: Final = 256
_NUMBER_BYTES: Final = 8
_EMPTY: Final = bytes(1 << 16)


@dataclass(eq=False, slots=True)
class _Column:
    """Amounts by slot, mapped into memory."""

    path: Path
    file: int
    memory: mmap.mmap
    amounts: memoryview[float]

    @classmethod
    def make(cls, path: Path, size: int) -> Self:
        """Map a file, a new one if there is none."""
        return cls._of(path, os.open(path, os.O_RDWR | os.O_CREAT, 0o600), size)

    @classmethod
    def find(cls, path: Path, size: int) -> Self | None:
        """Map a file; return `None` if it is not there, or was not made to its end."""
        with suppress(FileNotFoundError):
            if path.stat().st_size >= size:
                return cls._of(path, os.open(path, os.O_RDWR), size)
        return None

    @classmethod
    def _of(cls, path: Path, file: int, size: int) -> Self:
        try:
            allocate(file, size)
            memory = mmap.mmap(file, size)
        except BaseException:
            os.close(file)
            raise
        return cls(path, file, memory, memoryview(memory).cast("d"))

    def clear(self) -> None:
        """Release everything reserved; pages that are empty are not written."""
        for begin in range(0, len(self.memory), len(_EMPTY)):
            part = self.memory[begin : begin + len(_EMPTY)]
            if part != _EMPTY[: len(part)]:
                self.memory[begin : begin + len(part)] = _EMPTY[: len(part)]

    def close(self) -> None:
        """Release the file, and its lock."""
        self.amounts.release()
        self.memory.close()
        os.close(self.file)


class Holdings:
    """Amounts reserved by slot of the counts file, whose lock is held by whoever calls any method but `close`.

    Args:
        path: Of the counts file; that of a column has a number behind it.
        meters: Slots.
    """

    def __init__(self, path: Path, meters: int) -> None:
        self._path = path
        self._size = meters * _NUMBER_BYTES
        self._own: _Column | None = None
        self._others: list[_Column] = []
        self.columns: list[memoryview[float]] = []
        """Amounts by slot of every process, this one's first."""

    @property
    def is_claimed(self) -> bool:
        """Whether this process has a column of its own, the first one."""
        return self._own is not None

    def claim(self) -> None:
        """Take a column for this process. The others must look for it before they count again.

        Raises:
            OSError: No column can be made.
        """
        for number in range(_MAX_PROCESSES):
            column = _Column.make(self._path_of(number), self._size)
            try:
                if take_lock(column.file, column.path):
                    column.clear()
                    self._own = column
                    return
            except BaseException:
                column.close()
                raise
            column.close()
        raise UnusableFileError(f"{_MAX_PROCESSES} processes count in {self._path} already")

    def look(self) -> None:
        """Find the columns of all processes."""
        self._forget_others()
        for number in range(_MAX_PROCESSES):
            path = self._path_of(number)
            if self._own is not None and path == self._own.path:
                continue
            if (column := _Column.find(path, self._size)) is not None:
                self._others.append(column)
            elif not path.exists():
                break
        self._list()

    def drop_dead(self) -> None:
        """Release what processes have reserved that have ended."""
        for column in [*self._others]:
            if take_lock(column.file, column.path):
                column.clear()
                fcntl.flock(column.file, fcntl.LOCK_UN)
                self._others.remove(column)
                column.close()
        self._list()

    def is_held(self, slot: int) -> bool:
        """Tell whether any process has reserved something on a slot."""
        return any(column[slot] for column in self.columns)

    def close(self) -> None:
        """Release what this process has reserved, and the files."""
        self.columns = []
        self._forget_others()
        if self._own is not None:
            self._own.clear()
            self._own.close()
            self._own = None

    def _list(self) -> None:
        columns = self._others if self._own is None else [self._own, *self._others]
        self.columns = [column.amounts for column in columns]

    def _forget_others(self) -> None:
        self.columns = []
        for column in self._others:
            column.close()
        self._others = []

    def _path_of(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")
