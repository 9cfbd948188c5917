"""Counters of one process: an increment costs a third of prometheus_client's, which checks the labels of each."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from rerankd.telemetry.names import Metric


class Count:
    """What was counted with the same label values. For any thread."""

    __slots__ = ("_counting", "exemplar", "total")

    def __init__(self) -> None:
        self._counting = threading.Lock()
        self.total = 0.0
        """Sum of the amounts."""
        self.exemplar: Exemplar | None = None
        """The last one, if there was one."""

    def inc(self, amount: float = 1, exemplar: Mapping[str, str] | None = None) -> None:
        """Count.

        Args:
            amount: Added, >= 0.
            exemplar: Labels of an example that is shown beside the sum.
        """
        with self._counting:
            self.total += amount
        if exemplar:
            self.exemplar = Exemplar(dict(exemplar), amount, time.time())


class ProcessCounter(Collector):
    """A counter that no other process adds to, as a collector of prometheus_client.

    Args:
        metric: Name and labels.
        registry: Renders it.
    """

    def __init__(self, metric: Metric, registry: CollectorRegistry) -> None:
        self._metric = metric
        self._counts: dict[tuple[str, ...], Count] = {}
        if not metric.labels:
            self.labels()
        registry.register(self)

    def labels(self, *values: str) -> Count:
        """Return the count of label values, in the order of the metric's label names; a new one if there is none."""
        return self._counts.setdefault(values, Count())

    def collect(self) -> Iterable[CounterMetricFamily]:
        """Return the metric with a sample for each label values."""
        family = CounterMetricFamily(self._metric.name, self._metric.help, labels=self._metric.labels)
        for values, count in list(self._counts.items()):
            family.add_metric(values, count.total, exemplar=count.exemplar)
        return [family]
