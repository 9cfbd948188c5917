"""Document vectors computed ahead, below all calls: one worker, and only while no call has work for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import NamedTuple

from rerankd.local.scheduler import Ticket, WorkPool
from rerankd.local.tokens.vectors import ENTRY_BYTES, VectorCache
from rerankd_adapters.warming import WarmReply


class Piece(NamedTuple):
    """A part of a document that has vectors of its own."""

    keys: Sequence[bytes]
    """Cache keys of its vectors."""
    compute: Callable[[], object]
    """Computes the vectors and puts them into the cache."""


class _Outcome(Enum):
    WARMED = auto()
    ALREADY_WARM = auto()
    SKIPPED = auto()


async def warm(pool: WorkPool, cache: VectorCache, count: int, read: Callable[[int], Sequence[Piece]]) -> WarmReply:
    """Compute the vectors of `count` documents that are not in the cache.

    Stops at the document with which those of the call would fill the cache, so that it evicts none of its own.

    Args:
        pool: Its workers read and compute.
        cache: Keeps the vectors.
        count: Documents.
        read: Tokenizes a document, and returns its parts; called in a worker.
    """
    room = _Room(cache.limit_bytes)

    def work(index: int) -> _Outcome:
        if room.is_full:
            return _Outcome.SKIPPED
        pieces = read(index)
        missing = [piece for piece in pieces if any(key not in cache for key in piece.keys)]
        for piece in missing:
            piece.compute()
        sizes = [cache.touch(key) for piece in pieces for key in piece.keys]
        if not room.take(sizes):
            return _Outcome.SKIPPED
        return _Outcome.WARMED if missing else _Outcome.ALREADY_WARM

    outcomes = await pool.run(work, count, Ticket(is_background=True))
    skipped = outcomes.count(_Outcome.SKIPPED)
    warning = f"{skipped} of {count} documents have no room in the vector cache (local.vector_cache_mb)"
    return WarmReply(
        warmed=outcomes.count(_Outcome.WARMED),
        already_warm=outcomes.count(_Outcome.ALREADY_WARM),
        skipped=skipped,
        warnings=(warning,) if skipped else (),
    )


class _Room:
    """The part of the cache that the documents of one call fill; one worker uses it at a time.

    Args:
        limit_bytes: Of the cache.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._left_bytes = limit_bytes
        self._largest_bytes = ENTRY_BYTES

    @property
    def is_full(self) -> bool:
        """Whether a document as large as the largest so far has no room."""
        return self._left_bytes < self._largest_bytes

    def take(self, sizes: Sequence[int | None]) -> bool:
        """Take room for the entries of a document; `False` if one of them is not in the cache."""
        if any(size is None for size in sizes):
            self._left_bytes = 0
            return False
        total = sum(size for size in sizes if size is not None)
        self._left_bytes -= total
        self._largest_bytes = max(self._largest_bytes, total)
        return True
