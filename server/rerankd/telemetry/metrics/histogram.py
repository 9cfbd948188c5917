"""Histograms of one process: an observation costs a fifth of prometheus_client's, which takes two locks for each."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar
from prometheus_client.utils import floatToGoString

from rerankd.telemetry.names import Metric


class Tally:
    """The observations with the same label values. One thread observes at a time; any thread may read.

    Args:
        bounds: Upper ends of the buckets, ascending, without the infinite one.
    """

    __slots__ = ("_bounds", "counts", "exemplars", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """Observations a bucket, the infinite one last."""
        self.exemplars: dict[int, Exemplar] = {}
        """The last one of each bucket that has one."""
        self.total = 0.0
        """Sum of the observations."""

    def observe(self, amount: float, exemplar: Mapping[str, str] | None = None) -> None:
        """Count an observation.

        Args:
            amount: Value, >= 0.
            exemplar: Labels of an example that is shown beside the bucket.
        """
        bucket = bisect_left(self._bounds, amount)
        self.counts[bucket] += 1
        self.total += amount
        if exemplar:
            self.exemplars[bucket] = Exemplar(dict(exemplar), amount, time.time())


class ProcessHistogram(Collector):
    """A histogram that no other process adds to, as a collector of prometheus_client.

    Args:
        metric: Name, labels and buckets.
        registry: Renders it.
    """

    def __init__(self, metric: Metric, registry: CollectorRegistry) -> None:
        self._metric = metric
        self._bounds = tuple(map(float, metric.buckets))
        self._names = [*map(floatToGoString, self._bounds), "+Inf"]
        self._tallies: dict[tuple[str, ...], Tally] = {}
        if not metric.labels:
            self.labels()
        registry.register(self)

    def labels(self, *values: str) -> Tally:
        """Return the tally of label values, in the order of the metric's label names; a new one if there is none."""
        return self._tallies.setdefault(values, Tally(self._bounds))

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """Return the metric with a sample for each bucket, label values and sum."""
        family = HistogramMetricFamily(self._metric.name, self._metric.help, labels=self._metric.labels)
        for values, tally in list(self._tallies.items()):
            steps = enumerate(zip(self._names, accumulate(tally.counts), strict=True))
            buckets = [(name, count, tally.exemplars.get(number)) for number, (name, count) in steps]
            family.add_metric(values, buckets, tally.total)  # type: ignore[arg-type]  # None is no exemplar to it
        return [family]
