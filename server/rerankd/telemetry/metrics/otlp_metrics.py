"""Pushes the metrics of this process by OTLP, from the registry that `/metrics` renders, so that both agree."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Any

import structlog
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import Metric as Family
from prometheus_client.samples import Sample

from rerankd.telemetry.fault_log import FaultLog
from rerankd.telemetry.metrics.instruments import metrics
from rerankd.telemetry.names import METRICS, SERVICE_NAME

_log = structlog.get_logger("rerankd.telemetry")
_OURS = frozenset(metric.name for metric in METRICS)


class MetricsPush:
    """Exports the metrics periodically, in a thread of its own, until closed.

    Args:
        exporter: Sends them.
        resource: Describes this process.
        interval_s: Seconds between two exports.
    """

    def __init__(self, exporter: MetricExporter, resource: Resource, interval_s: float) -> None:
        self._exporter = exporter
        self._resource = resource
        self._interval_s = interval_s
        self._started_ns = time.time_ns()
        self._closing = threading.Event()
        self._faults = FaultLog(_log, "metrics cannot be exported by OTLP", "metrics are exported by OTLP again")
        self._thread = threading.Thread(target=self._run, name="rerankd-metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Export a last time and stop; blocks meanwhile."""
        self._closing.set()
        self._thread.join()
        self._exporter.shutdown()

    def _run(self) -> None:
        is_closing = False
        while not is_closing:
            is_closing = self._closing.wait(self._interval_s)
            self._export()

    def _export(self) -> None:
        data = as_otlp(metrics.registry.collect(), self._resource, self._started_ns, time.time_ns())
        try:
            is_exported = self._exporter.export(data) is MetricExportResult.SUCCESS
        except Exception:  # whatever the exporter raises, the next export is tried
            is_exported = False
        if is_exported:
            self._faults.succeeded()
        else:
            self._faults.failed()


def as_otlp(families: Iterable[Family], resource: Resource, started_ns: int, now_ns: int) -> MetricsData:
    """Convert Prometheus metrics to OTLP, cumulative since `started_ns`; only those of `names.METRICS`.

    Args:
        families: As a registry collects them.
        resource: Describes this process.
        started_ns: Nanoseconds since 1970, as `now_ns`.
        now_ns: Time of the measurement.
    """
    found = [
        Metric(family.name, family.documentation, "s" if family.name.endswith("_seconds") else "1", data)
        for family in families
        if family.name in _OURS and (data := _data(family, started_ns, now_ns)) is not None
    ]
    scope = ScopeMetrics(InstrumentationScope(SERVICE_NAME), found, "")
    return MetricsData([ResourceMetrics(resource, [scope], "")])


def _data(family: Family, started_ns: int, now_ns: int) -> Sum | Gauge | Histogram | None:
    cumulative = AggregationTemporality.CUMULATIVE
    if family.type == "histogram":
        points = _histogram_points(family.samples, started_ns, now_ns)
        return Histogram(points, cumulative) if points else None
    wanted = f"{family.name}_total" if family.type == "counter" else family.name
    samples = [sample for sample in family.samples if sample.name == wanted]
    if not samples:
        return None
    numbers = [NumberDataPoint(sample.labels, started_ns, now_ns, sample.value) for sample in samples]
    return Sum(numbers, cumulative, is_monotonic=True) if family.type == "counter" else Gauge(numbers)


def _histogram_points(samples: Iterable[Sample], started_ns: int, now_ns: int) -> list[HistogramDataPoint]:
    series: dict[tuple[tuple[str, str], ...], dict[str, Any]] = {}
    for sample in samples:
        labels = {name: value for name, value in sample.labels.items() if name != "le"}
        one = series.setdefault(tuple(labels.items()), {"labels": labels, "buckets": [], "sum": 0.0, "count": 0})
        if sample.name.endswith("_bucket"):
            one["buckets"].append((float(sample.labels["le"]), sample.value))
        elif sample.name.endswith("_sum"):
            one["sum"] = sample.value
        elif sample.name.endswith("_count"):
            one["count"] = int(sample.value)
    points = []
    for one in series.values():
        bounds = [bound for bound, _ in one["buckets"]]
        totals = [int(total) for _, total in one["buckets"]]
        counts = [total - before for before, total in zip([0, *totals[:-1]], totals, strict=True)]
        points.append(
            HistogramDataPoint(
                attributes=one["labels"],
                start_time_unix_nano=started_ns,
                time_unix_nano=now_ns,
                count=one["count"],
                sum=one["sum"],
                bucket_counts=counts,
                explicit_bounds=bounds[:-1],
                min=None,  # type: ignore[arg-type]  # Prometheus keeps neither
                max=None,  # type: ignore[arg-type]  # likewise
            )
        )
    return points
