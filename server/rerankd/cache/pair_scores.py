"""The cache's interface to the engine: only pairs that are not cached are fetched, each once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import compress, repeat
from operator import is_
from typing import TYPE_CHECKING, cast

from msgspec import Struct, field

from rerankd.cache.flight import Flight, FlightBoard, only_finite
from rerankd.cache.keys import SLICE_CHARS, Naming, ScoreScope
from rerankd.cache.memory import ScoreMemory, Shard

if TYPE_CHECKING:
    from rerankd.cache.redis_tier import RedisTier

Fetch = Callable[[Sequence[int]], Awaitable[Sequence[float]]]
"""Scores the documents at the given positions, n >= 1; returns one score each, in that order."""


class CacheUse(Enum):
    """How one call uses the cache."""

    READ_WRITE = "read-write"
    READ_ONLY = "no-store"
    """Read, but do not store."""
    BYPASS = "bypass"
    """Neither read nor store, nor share a fetch with other calls."""


class Filled(Struct, frozen=True):
    """The scores of one call and their origin.

    The three counts add up to less than the documents where a document occurs twice in the call.
    """

    scores: list[float]
    """One score a document, in the order of the documents."""
    hits: int
    """Positions whose score was in the cache."""
    coalesced: int
    """Pairs fetched by another call at the same time."""
    fetched: int
    """Pairs that this call fetched."""


@dataclass(frozen=True, slots=True)
class CacheCounters:
    """Counts of pairs since the start, and the current size."""

    hits_memory: int
    hits_redis: int
    misses: int
    """Fetched from the provider; calls that bypass the cache are not counted."""
    coalesced: int
    """Answered by another call's fetch."""
    stored: int
    evicted: int
    """Evicted from this process's memory."""
    dropped: int
    """Not written to Redis: it was unavailable or the queue was full."""
    errors: int
    """Failures and timeouts of Redis."""
    under_way: int
    """Being fetched now."""
    entries: int
    """Held in this process."""
    bytes: int
    """Memory of these entries."""
    is_redis_up: bool | None
    """Whether Redis is in use; `None` when none is configured."""


class _Work(Struct):
    """State of one call's cache misses."""

    shard: Shard
    """Stores the scores."""
    positions: Mapping[bytes, int]
    """One position of each key."""
    fetch: Fetch
    stores: bool
    known: dict[bytes, float] = field(default_factory=dict)
    in_redis: set[bytes] = field(default_factory=set)
    fetched: int = 0
    coalesced: int = 0


class PairScores:
    """Scores of pointwise models by (model, query, document), in memory and optionally in Redis. For one event loop.

    Args:
        memory: Scores in this process.
        redis: Scores shared with other replicas.
    """

    def __init__(self, memory: ScoreMemory, redis: RedisTier | None = None) -> None:
        self._memory = memory
        self._redis = redis
        self._board = FlightBoard()
        self._hits_memory = self._hits_redis = self._misses = self._coalesced = self._stored = 0

    async def start(self) -> None:
        """Connect to Redis, for one second at most; an unavailable one is retried in the background."""
        if self._redis is not None:
            await self._redis.start()

    async def close(self) -> None:
        """Flush queued writes to Redis, for half a second at most, and disconnect."""
        if self._redis is not None:
            await self._redis.close()

    def counters(self) -> CacheCounters:
        """Read all counters."""
        redis = self._redis
        return CacheCounters(
            hits_memory=self._hits_memory,
            hits_redis=self._hits_redis,
            misses=self._misses,
            coalesced=self._coalesced,
            stored=self._stored,
            evicted=self._memory.evicted,
            dropped=redis.dropped if redis else 0,
            errors=redis.errors if redis else 0,
            under_way=len(self._board),
            entries=len(self._memory),
            bytes=self._memory.used_bytes,
            is_redis_up=redis.is_up if redis else None,
        )

    async def fill(self, scope: ScoreScope, documents: Sequence[str | bytes], use: CacheUse, fetch: Fetch) -> Filled:
        """Score documents, fetching only pairs that are not cached.

        Pairs that another call is fetching are awaited. If that call fails, is cancelled or times out, one of the
        waiting calls fetches them, so `fetch` may be called several times, one after the other.

        Args:
            scope: Model, query and parameters.
            documents: n contents, n >= 0. A document that occurs twice is fetched once.
            use: Whether to read and to store.
            fetch: Calls the model; its exceptions propagate.

        Raises:
            ValueError: `fetch` returned a wrong number of scores.
        """
        if use is CacheUse.BYPASS:
            scores = list(await fetch(range(len(documents)))) if documents else []
            _check_count(scores, len(documents))
            return Filled(scores, hits=0, coalesced=0, fetched=len(scores))
        naming = Naming(scope)
        is_small = sum(map(len, documents)) <= SLICE_CHARS
        keys = naming.keys(documents) if is_small else await naming.keys_in_slices(documents)
        shard = self._memory.shard(naming.shard)
        found = shard.get_many(keys)
        in_memory = len(found) - found.count(None)
        self._hits_memory += in_memory
        if in_memory == len(found):
            return Filled(cast(list[float], found), hits=in_memory, coalesced=0, fetched=0)
        work = _Work(shard, _positions(keys, found), fetch, use is CacheUse.READ_WRITE)
        await self._complete(work)
        in_redis = sum(map(work.in_redis.__contains__, keys)) if work.in_redis else 0
        self._hits_redis += in_redis
        # Scores found in memory are not in `known`: they are the default of the look-up.
        scores = cast(list[float], list(map(work.known.get, keys, found)))
        return Filled(scores, in_memory + in_redis, work.coalesced, work.fetched)

    async def _complete(self, work: _Work) -> None:
        """Fetch free keys, then await the other calls' fetches; repeat for keys that those did not deliver."""
        missing: Iterable[bytes] = work.positions
        while missing:
            free, taken = self._board.split(missing)
            if free:
                await self._lead(work, free)
            for flight in set(taken.values()):
                await flight.wait()
            missing = self._follow(work, taken) if taken else ()

    def _follow(self, work: _Work, taken: Mapping[bytes, Flight]) -> list[bytes]:
        """Take the scores of ended flights; return the keys they did not deliver."""
        landed = {key: score for key, flight in taken.items() if (score := flight.scores.get(key)) is not None}
        failed = [key for key in taken if key not in landed]
        # Another waiting call may have fetched these since.
        stored = zip(failed, work.shard.get_many(failed), strict=True)
        followed = landed | {key: score for key, score in stored if score is not None}
        work.known.update(followed)
        work.coalesced += len(followed)
        self._coalesced += len(followed)
        if work.stores and (unstored := {key: landed[key] for key in landed if not taken[key].is_stored}):
            self._store(work, unstored)
        return [key for key in failed if key not in followed]

    async def _lead(self, work: _Work, keys: list[bytes]) -> None:
        """Look free keys up in Redis, and fetch the rest."""
        if self._redis is not None and self._redis.is_up:
            with self._board.fly(keys, is_stored=True) as shared:
                shared.update(await self._redis.get_many(keys))
            # No await before the rest is registered again, so that waiting calls find it being fetched.
            work.known.update(shared)
            work.in_redis.update(shared)
            if work.stores:
                work.shard.set_many(shared)
            keys = [key for key in keys if key not in shared]
            if not keys:
                return
        with self._board.fly(keys, is_stored=work.stores) as fetched:
            self._misses += len(keys)
            scores = await work.fetch(list(map(work.positions.__getitem__, keys)))
            _check_count(scores, len(keys))
            fetched.update(zip(keys, scores, strict=True))
            if work.stores:
                self._store(work, only_finite(fetched))
        work.known.update(fetched)
        work.fetched += len(keys)

    def _store(self, work: _Work, scores: Mapping[bytes, float]) -> None:
        work.shard.set_many(scores)
        self._stored += len(scores)
        if self._redis is not None:
            self._redis.put_many(scores)


def _positions(keys: Sequence[bytes], found: Sequence[float | None]) -> Mapping[bytes, int]:
    """Return the keys that were not found, each with one position."""
    is_missing = list(map(is_, found, repeat(None)))
    return dict(zip(compress(keys, is_missing), compress(range(len(keys)), is_missing), strict=True))


def _check_count(scores: Sequence[float], count: int) -> None:
    if len(scores) != count:
        raise ValueError(f"{len(scores)} scores for {count} documents")
