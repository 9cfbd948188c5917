"""A file of counts that processes map into memory and change one at a time, under a lock of the kernel.

What one process counts, the others read at once, at the price of a variable. The kernel keeps what a process that is
killed has written, and frees the lock that it held.
"""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import secrets
import struct
import sys
from collections.abc import Callable
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock
from pathlib import Path
from typing import Final

from rerankd.store.private_file import create_private_file

METERS: Final = 524_288
"""Meters that a file has room for, 48 bytes each. A bucket is full, and forgets, when some 300,000 are in use."""
BUCKET: Final = 64
"""Meters of a bucket: a name can only be in the one that its hash chooses."""
_MAGIC: Final = b"rerankd counts 1"
_HEADER: Final = struct.Struct("=16s16sqq")
"""Magic, secret of the hash, meters, changes of the processes that count."""
_VERSION_AT: Final = 5
"""Index of the last number of the header among all numbers of the file."""
_KEYS_AT: Final = 4096
_KEY_BYTES: Final = 16
_ROW_BYTES: Final = 32
_NUMBER_BYTES: Final = 8
_AT_ONCE: Final = LOCK_EX | LOCK_NB
_KNOWN: Final = 10_000
"""Names whose rows are remembered."""
_KEPT_S: Final = 120.0
"""Time for which a new meter has its row at least."""
_WITHOUT_LOCKS: Final = frozenset({errno.ENOTSUP, errno.ENOSYS, errno.ENOLCK, errno.EINVAL})


class UnusableFileError(OSError):
    """The file cannot hold counts; the message says why, and what to do."""


def take_lock(file: int, path: Path) -> bool:
    """Lock an open file for this process until it ends; return `False` if another one has it.

    Raises:
        UnusableFileError: The filesystem has no such locks.
    """
    try:
        flock(file, _AT_ONCE)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            raise
        raise UnusableFileError(
            f"the filesystem of {path.parent} has no locks between processes (flock: {error.strerror}), without which "
            "calls cannot be counted; set access.ledger.path to a file on a local disk, or access.ledger.redis_url"
        ) from None
    return True


def allocate(file: int, size: int) -> None:
    """Make a file as large as it is going to be, all of it on the disk.

    A page for which a full disk has no room would end the process that writes it.

    Raises:
        OSError: The disk is full.
    """
    if os.fstat(file).st_size >= size:
        return
    if sys.platform == "darwin":
        os.ftruncate(file, size)
    else:
        os.posix_fallocate(file, 0, size)


class CountsRow:
    """Where a meter is in the file; all but `slot` and `key` are indexes of the file's numbers.

    Args:
        slot: Number of the row.
        key: What stands for the name of the meter.
        at: Index of the first number of the row.
    """

    __slots__ = ("before", "expires", "key", "key_at", "period", "slot", "used")

    def __init__(self, slot: int, key: bytes, at: int) -> None:
        self.slot = slot
        self.key = int.from_bytes(key[:_NUMBER_BYTES], sys.byteorder, signed=True)
        """First half of the key: 64 bits that nobody can choose."""
        self.key_at = (_KEYS_AT + slot * _KEY_BYTES) // _NUMBER_BYTES
        self.period = at
        """Number of the period, an integer; the others are of floating point."""
        self.used = at + 1
        """Use in the period."""
        self.before = at + 2
        """Use in the period before."""
        self.expires = at + 3
        """Unix time after which another meter may take the row."""


class CountsFile:
    """Rows of numbers by the names of meters. For one thread; rows are valid until `unlock`.

    Args:
        path: File; made with its folder, readable by its owner only.
        meters: Most meters, a multiple of `BUCKET`.
    """

    def __init__(self, path: Path, meters: int = METERS) -> None:
        self._path = path
        self._meters = meters
        self._file: int | None = None
        self._known: dict[str, CountsRow] = {}
        self.dropped = 0
        """Meters in use whose rows others took, as their bucket was full."""

    def open(self) -> bool:
        """Map the file, if it is not; return whether it is, `False` if another process holds the lock.

        Raises:
            OSError: It cannot be made or mapped.
        """
        if self._file is not None:
            return True
        create_private_file(self._path)
        file = os.open(self._path, os.O_RDWR)
        try:
            if not take_lock(file, self._path):
                os.close(file)
                return False
            self._map(file)
        except BaseException:
            os.close(file)
            raise
        self._file = file
        self.unlock()
        return True

    def close(self) -> None:
        """Release the file."""
        if self._file is not None:
            self.numbers.release()
            self.integers.release()
            self._memory.close()
            os.close(self._file)
            self._file = None
            self._known = {}

    def lock(self) -> bool:
        """Keep other processes from reading and writing; return `False` if another one does.

        Raises:
            OSError: The file cannot be made or mapped, or its filesystem has no locks.
        """
        if self._file is None and not self.open():
            return False
        try:
            flock(self._file, _AT_ONCE)  # type: ignore[arg-type]  # opened above
        except BlockingIOError:
            return False
        return True

    def unlock(self) -> None:
        """End `lock`."""
        flock(self._file, LOCK_UN)  # type: ignore[arg-type]  # opened by `lock`

    @property
    def version(self) -> int:
        """Changes when a process begins to count."""
        return self.integers[_VERSION_AT]

    @version.setter
    def version(self, version: int) -> None:
        self.integers[_VERSION_AT] = version

    def find(self, name: str) -> CountsRow | None:
        """Return the row of a meter, `None` if it has none."""
        known = self._known.get(name)
        if known is not None and self.integers[known.key_at] == known.key:
            return known
        key = self._key_of(name)
        begin = self._bucket_of(key)
        at = begin * _KEY_BYTES + _KEYS_AT
        keys = self._memory[at : at + BUCKET * _KEY_BYTES]
        found = keys.find(key)
        while found % _KEY_BYTES and found >= 0:
            found = keys.find(key, found + 1)
        return None if found < 0 else self._remember(name, key, begin + found // _KEY_BYTES)

    def take(self, name: str, now_s: float, is_held: Callable[[int], bool]) -> CountsRow:
        """Return an empty row for a meter that has none.

        Where the bucket is full the meter that expires first is forgotten.

        Args:
            name: Of the meter.
            now_s: Unix time.
            is_held: Tells whether anything is reserved on a slot, so that it cannot be taken.

        Raises:
            UnusableFileError: Every slot is held.
        """
        key = self._key_of(name)
        begin = self._bucket_of(key)
        free = [slot for slot in range(begin, begin + BUCKET) if not is_held(slot)]
        if not free:
            raise UnusableFileError(f"{self._path} has no room: all meters of a bucket are in use by running calls")
        slot = min(free, key=lambda each: self.numbers[self._at(each) + 3])
        row = self._remember(name, key, slot)
        if self.numbers[row.expires] >= now_s:
            self.dropped += 1
        # A process may be killed between any two lines; a row without its key counts for nobody.
        at = _KEYS_AT + slot * _KEY_BYTES
        self._memory[at : at + _KEY_BYTES] = bytes(_KEY_BYTES)
        self.integers[row.period] = 0
        self.numbers[row.used] = self.numbers[row.before] = 0.0
        self.numbers[row.expires] = now_s + _KEPT_S
        self._memory[at : at + _KEY_BYTES] = key
        return row

    def _at(self, slot: int) -> int:
        return (_KEYS_AT + self._meters * _KEY_BYTES + slot * _ROW_BYTES) // _NUMBER_BYTES

    def _map(self, file: int) -> None:
        """Map the file, and make its header if it has none. The lock is held."""
        header = os.pread(file, _HEADER.size, 0).ljust(_HEADER.size, b"\0")
        magic, secret, meters, _ = _HEADER.unpack(header)
        is_new = not magic.strip(b"\0")
        if not is_new and (magic != _MAGIC or meters != self._meters):
            raise UnusableFileError(f"{self._path} is not a file of counts; move it, or set access.ledger.path")
        size = _KEYS_AT + self._meters * (_KEY_BYTES + _ROW_BYTES)
        allocate(file, size)
        if is_new:
            secret = secrets.token_bytes(16)
            os.pwrite(file, _HEADER.pack(_MAGIC, secret, self._meters, 0), 0)
        self._secret = secret
        self._memory = mmap.mmap(file, size)
        self.numbers = memoryview(self._memory).cast("d")
        """All numbers of the file."""
        self.integers = memoryview(self._memory).cast("q")
        """The same as integers."""

    def _key_of(self, name: str) -> bytes:
        """Return what stands for a name; callers choose some, and are not to choose buckets."""
        return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=_KEY_BYTES, key=self._secret).digest()

    def _bucket_of(self, key: bytes) -> int:
        return int.from_bytes(key[:8], "little") % (self._meters // BUCKET) * BUCKET

    def _remember(self, name: str, key: bytes, slot: int) -> CountsRow:
        if len(self._known) >= _KNOWN:
            self._known.clear()
        row = self._known[name] = CountsRow(slot, key, self._at(slot))
        return row
