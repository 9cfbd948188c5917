"""In-process score store: LRU eviction by bytes, expiry by age."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import compress, islice, repeat
from operator import attrgetter

ENTRY_BYTES = 160
"""Bytes of an entry: key 64, value 32, and its share of the dict's table, 57 to 75 once entries have been evicted."""
_SHARD_BYTES = 4 * 1024 * 1024
_MOST_SHARDS = 256
_EVICTED_SHARE = 16
"""A full shard evicts 1/16 of its entries at once: finding the oldest of a dict one by one is slow."""

# A value is complex(score, expiry): two doubles in one object of 32 bytes, a third of a tuple.
_score: Callable[[complex], float] = attrgetter("real")
_end_s: Callable[[complex], float] = attrgetter("imag")


class Shard:
    """One shard of the store; a dict in order of last use.

    A call reads and writes hundreds of keys, so work per key is done in C.

    Args:
        most: Entries, at least 1.
        ttl_s: Seconds from storing to expiry.
        clock: Seconds that never go backwards.
    """

    __slots__ = ("_clock", "_entries", "_most", "_ttl_s", "evicted")

    def __init__(self, most: int, ttl_s: float, clock: Callable[[], float]) -> None:
        self._entries: dict[bytes, complex] = {}
        self._most = most
        self._ttl_s = ttl_s
        self._clock = clock
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get_many(self, keys: Sequence[bytes]) -> list[float | None]:
        """Look scores up and mark them as used.

        Args:
            keys: n keys of 16 bytes.

        Returns:
            n scores in the order of the keys, `None` where there is none.
        """
        entries, now_s = self._entries, self._clock()
        taken = list(map(entries.pop, keys, repeat(None)))
        if not any(taken):
            return [None] * len(keys)
        if all(taken) and min(map(_end_s, taken)) > now_s:  # type: ignore[arg-type]  # none is None, also below
            entries.update(zip(keys, taken, strict=True))  # type: ignore[arg-type]  # likewise
            return list(map(_score, taken))  # type: ignore[arg-type]  # likewise
        held = dict(zip(compress(keys, taken), filter(None, taken), strict=True))
        if min(map(_end_s, held.values())) <= now_s:
            held = {key: entry for key, entry in held.items() if entry.imag > now_s}
        entries.update(held)
        scores = dict(zip(held, map(_score, held.values()), strict=True))
        return list(map(scores.get, keys))

    def set_many(self, scores: Mapping[bytes, float]) -> None:
        """Store scores; evict the least recently used when the shard is full."""
        entries, ends_s = self._entries, repeat(self._clock() + self._ttl_s)
        entries.update(zip(scores, map(complex, scores.values(), ends_s), strict=True))
        if (excess := len(entries) - self._most) > 0:
            oldest = list(islice(entries, max(excess, self._most // _EVICTED_SHARE)))
            for key in oldest:
                del entries[key]
            self.evicted += len(oldest)


class ScoreMemory:
    """Scores by key, bounded by bytes and age. For one event loop.

    Sharded, so that resizing a dict does not delay calls under way. All pairs of one scope are in one shard.

    Args:
        limit_bytes: Memory to use; at least one entry is kept.
        ttl_s: Seconds from storing to expiry.
        clock: Seconds that never go backwards.
    """

    def __init__(self, limit_bytes: int, ttl_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        shards = 1
        while shards < _MOST_SHARDS and shards * _SHARD_BYTES < limit_bytes:
            shards *= 2
        most = max(1, limit_bytes // ENTRY_BYTES // shards)
        self._shards = [Shard(most, ttl_s, clock) for _ in range(shards)]

    def __len__(self) -> int:
        return sum(map(len, self._shards))

    def shard(self, number: int) -> Shard:
        """Return the shard of a scope by `Naming.shard`, 0 to 255."""
        return self._shards[number & len(self._shards) - 1]

    @property
    def used_bytes(self) -> int:
        """Bytes held, as accounted."""
        return len(self) * ENTRY_BYTES

    @property
    def evicted(self) -> int:
        """Entries evicted to stay within the bound."""
        return sum(shard.evicted for shard in self._shards)
