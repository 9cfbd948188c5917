"""The metrics of this process, in a prometheus_client registry; several workers share theirs through files.

Where `PROMETHEUS_MULTIPROC_DIR` is set before this module is imported, every process writes to files in that folder
and each of them can render the sum of all.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    values,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.values import MultiProcessValue

from rerankd.telemetry import names
from rerankd.telemetry.metrics.counter import ProcessCounter
from rerankd.telemetry.metrics.histogram import ProcessHistogram
from rerankd.telemetry.names import Metric

SHARED_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
SHARED_SLOT: Final = "PROMETHEUS_MULTIPROC_SLOT"
"""Names the process's files in the folder; no two that run have the same. By default its id, so that each process that
was ever there leaves files, and takes a millisecond of every scrape."""
OTHER: Final = "other"


class KnownNames:
    """The values of a label: names that were learned, at most `limit`; every other name becomes `other`.

    Callers make names up, so a name is learned only where the settings or a provider have it, or a provider answered.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._names: set[str] = set()

    def learn(self, name: str) -> str:
        """Use `name` as a label from now on, unless there are too many, and return the label."""
        if name in self._names:
            return name
        if len(self._names) >= self.limit:
            return OTHER
        self._names.add(name)
        return name

    def __call__(self, name: str) -> str:
        """Return `name` if it was learned, else `other`."""
        return name if name in self._names else OTHER


class _Nothing:
    """A child of a metric that is not kept."""

    def inc(self, *_: Any) -> None:
        """Count nothing."""

    dec = set = observe = inc


_NOTHING: Final = _Nothing()


class Family:
    """One metric, with a cache of its children by label values: a look-up here costs a third of the library's."""

    __slots__ = ("_children", "_is_kept", "_kept", "family")

    def __init__(self, metric: Metric, registry: CollectorRegistry) -> None:
        self.family = _open(metric, registry)
        self._is_kept = True
        self._kept: dict[tuple[str, ...], Any] = {}
        self._children = self._kept
        """What `of` looks in; always empty while nothing is counted."""
        if not metric.labels:
            is_ours = isinstance(self.family, ProcessHistogram | ProcessCounter)
            self._kept[()] = self.family.labels() if is_ours else self.family

    def keep(self, *, is_kept: bool) -> None:
        """Turn the counting on or off from now on."""
        self._is_kept = is_kept
        self._children = self._kept if is_kept else {}

    def of(self, *labels: str) -> Any:
        """Return the child with these label values, in the order of the metric's label names."""
        child = self._children.get(labels)
        return self._new(labels) if child is None else child

    def _new(self, labels: tuple[str, ...]) -> Any:
        if not self._is_kept:
            return _NOTHING
        child = self._kept[labels] = self.family.labels(*labels)
        return child


def _open(
    metric: Metric, registry: CollectorRegistry
) -> Histogram | ProcessHistogram | Counter | ProcessCounter | Gauge:
    is_shared = SHARED_FOLDER in os.environ
    if metric.kind == "histogram":
        if not is_shared:
            return ProcessHistogram(metric, registry)
        return Histogram(metric.name, metric.help, metric.labels, buckets=metric.buckets, registry=registry)
    if metric.kind == "counter":
        if not is_shared:
            return ProcessCounter(metric, registry)
        return Counter(metric.name, metric.help, metric.labels, registry=registry)
    return Gauge(metric.name, metric.help, metric.labels, registry=registry, multiprocess_mode="livesum")


class Metrics:
    """All metrics of `names.METRICS`. One a process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.is_shared = SHARED_FOLDER in os.environ
        if not self.is_shared:
            ProcessCollector(registry=self.registry)
            PlatformCollector(registry=self.registry)
        families = self._families = {metric: Family(metric, self.registry) for metric in names.METRICS}
        self.calls = families[names.CALLS]
        self.call_seconds = families[names.CALL_SECONDS]
        self.overhead_seconds = families[names.OVERHEAD_SECONDS]
        self.provider_seconds = families[names.PROVIDER_SECONDS]
        self.call_documents = families[names.CALL_DOCUMENTS]
        self.call_tokens = families[names.CALL_TOKENS]
        self.search_units = families[names.SEARCH_UNITS_TOTAL]
        self.cost = families[names.COST_TOTAL]
        self.saved = families[names.SAVED_TOTAL]
        self.judged = families[names.JUDGED]
        self.ordered = families[names.ORDERED]
        self.retries = families[names.RETRIES]
        self.hedges = families[names.HEDGES]
        self.fallbacks = families[names.FALLBACKS]
        self.cooldowns = families[names.COOLDOWNS]
        self.cooling = families[names.COOLING]
        self.queued = families[names.QUEUED]
        self.busy = families[names.BUSY]
        self.in_flight = families[names.IN_FLIGHT]
        self.cache_documents = families[names.CACHE_DOCUMENTS]
        self.cache_bytes = families[names.CACHE_BYTES]
        self.cache_entries = families[names.CACHE_ENTRIES]
        self.cache_errors = families[names.CACHE_ERRORS]
        self.batches = families[names.BATCHES]
        self.batch_items = families[names.BATCH_ITEMS]
        self.loop_lag = families[names.LOOP_LAG]
        self.spans = families[names.SPANS]
        self.sink_errors = families[names.SINK_ERRORS]
        self.runs = families[names.RUNS]
        self.store_errors = families[names.STORE_ERRORS]
        self.build = families[names.BUILD]
        self.http_connections = families[names.HTTP_CONNECTIONS]
        self.http_refused = families[names.HTTP_REFUSED]
        self.model = KnownNames(200)
        self.deployment = KnownNames(200)

    def keep(self, *, is_kept: bool) -> None:
        """Turn the counting on or off from now on."""
        for family in self._families.values():
            family.keep(is_kept=is_kept)

    def render(self, accept: str) -> tuple[bytes, str]:
        """Render all metrics in the format a scraper accepts; only OpenMetrics has exemplars.

        Returns:
            The body, and its media type.
        """
        encode: Callable[[Any], bytes]
        encode, content_type = choose_encoder(accept)
        if self.is_shared:
            shared = CollectorRegistry()
            MultiProcessCollector(shared)  # type: ignore[no-untyped-call]  # the library's
            return encode(shared), content_type
        return encode(self.registry), content_type


if SHARED_SLOT in os.environ:
    values.ValueClass = MultiProcessValue(partial(str, os.environ[SHARED_SLOT]))  # type: ignore[no-untyped-call]  # the library's
disable_created_metrics()  # type: ignore[no-untyped-call]  # would double the number of series
metrics: Final = Metrics()
"""The metrics of this process; one registry a process, as prometheus_client's multiprocess mode requires."""


def forget_process(slot: int) -> None:
    """Remove the gauges of a worker that has ended from the sum; its counters stay, and its successor counts on."""
    mark_process_dead(slot)  # type: ignore[no-untyped-call]  # the library's
