"""Scores in this process: least recently used ones go first when the bytes are spent, all go after their time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

ENTRY_BYTES = 160
"""What an entry costs: key 64, value 32, and its share of the dict's table, which is 57 to 75 once entries have come
and gone."""
_SHARD_BYTES = 4 * 1024 * 1024
_MOST_SHARDS = 256
"""A key's first byte chooses the shard."""
_EVICTED_SHARE = 16
"""A full shard gives up this part of its entries at once: finding the oldest of a dict is slow one by one."""


class ScoreMemory:
    """Scores by key, bounded by bytes and age. For one event loop.

    A dict holds its entries in the order of their last use. There are several of them, so that none is so large that
    growing it is felt by the calls under way.

    Args:
        limit_bytes: Memory to use; at least one entry is kept.
        ttl_s: Seconds an entry is good for, from when it was stored.
        clock: Seconds that never go backwards.
    """

    def __init__(self, limit_bytes: int, ttl_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        shards = 1
        while shards < _MOST_SHARDS and shards * _SHARD_BYTES < limit_bytes:
            shards *= 2
        # A value is complex(score, end of its time): two doubles in one object of 32 bytes, a third of a tuple's.
        self._shards: list[dict[bytes, complex]] = [{} for _ in range(shards)]
        self._mask = shards - 1
        self._shard_entries = max(1, limit_bytes // ENTRY_BYTES // shards)
        self._ttl_s = ttl_s
        self._clock = clock
        self.evicted = 0

    def __len__(self) -> int:
        return sum(map(len, self._shards))

    @property
    def used_bytes(self) -> int:
        """Bytes held, as accounted."""
        return len(self) * ENTRY_BYTES

    def get_many(self, keys: Sequence[bytes]) -> list[float | None]:
        """Find scores and mark them as used.

        Args:
            keys: n keys of 16 bytes.

        Returns:
            n scores in the order of the keys, `None` where there is none.
        """
        shards, mask, now_s = self._shards, self._mask, self._clock()
        scores: list[float | None] = [None] * len(keys)
        for place, key in enumerate(keys):
            shard = shards[key[0] & mask]
            if (entry := shard.pop(key, None)) and entry.imag > now_s:
                shard[key] = entry
                scores[place] = entry.real
        return scores

    def set_many(self, pairs: Iterable[tuple[bytes, float]]) -> None:
        """Keep scores from now on; the last one of a key counts."""
        shards, mask, most = self._shards, self._mask, self._shard_entries
        end_s = self._clock() + self._ttl_s
        for key, score in pairs:
            shard = shards[key[0] & mask]
            shard.pop(key, None)
            shard[key] = complex(score, end_s)
            if len(shard) > most:
                self._evict(shard)

    def _evict(self, shard: dict[bytes, complex]) -> None:
        oldest = list(islice(shard, max(1, self._shard_entries // _EVICTED_SHARE)))
        for key in oldest:
            del shard[key]
        self.evicted += len(oldest)
