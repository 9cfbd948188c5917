"""Sets the gauges of a running service: calls, deployments, cache."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rerankd.cache.pair_scores import PairScores
from rerankd.engine.routing.deployment import Deployment
from rerankd.telemetry.calls.recorder import Recorder
from rerankd.telemetry.metrics.instruments import metrics


class Gauges:
    """Sets the gauges of calls, deployments and cache, and adds to the counters what the cache counted since.

    Args:
        deployments: Returns the deployments in use.
        cache: Pair-score cache; `None` without one.
        recorder: Counts the calls in flight.
    """

    def __init__(
        self, deployments: Callable[[], Iterable[Deployment]], cache: PairScores | None, recorder: Recorder
    ) -> None:
        self._recorder = recorder
        self._deployments = deployments
        self._cache = cache
        self._counted: dict[str, int] = {}

    def read(self) -> None:
        """Set all gauges to the current values."""
        metrics.in_flight.of().set(self._recorder.in_flight)
        totals: dict[str, tuple[int, int, int]] = {}
        for each in self._deployments():
            name = metrics.deployment(each.name)
            queued, busy, cooling = totals.get(name, (0, 0, 0))
            totals[name] = (
                queued + each.limiter.queued,
                busy + each.limiter.in_flight,
                max(cooling, int(each.breaker.is_open)),
            )
        for name, (queued, busy, cooling) in totals.items():
            metrics.queued.of(name).set(queued)
            metrics.busy.of(name).set(busy)
            metrics.cooling.of(name).set(cooling)
        if self._cache is not None:
            self._read_cache(self._cache)

    def _read_cache(self, cache: PairScores) -> None:
        counters = cache.counters()
        metrics.cache_bytes.of().set(counters.bytes)
        metrics.cache_entries.of().set(counters.entries)
        documents = {
            "memory": counters.hits_memory,
            "redis": counters.hits_redis,
            "coalesced": counters.coalesced,
            "miss": counters.misses,
        }
        for result, total in documents.items():
            metrics.cache_documents.of(result).inc(self._since(result, total))
        metrics.cache_errors.of().inc(self._since("errors", counters.errors))

    def _since(self, name: str, total: int) -> int:
        before, self._counted[name] = self._counted.get(name, 0), total
        return total - before
