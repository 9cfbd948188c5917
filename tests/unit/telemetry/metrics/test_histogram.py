"""Histograms of one process: they have the samples that prometheus_client's own have."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.metrics_core import Metric as Family

from rerankd.telemetry.metrics.histogram import ProcessHistogram
from rerankd.telemetry.names import Metric

AMOUNTS = (0.0, 0.5, 0.50001, 1.0, 7.25, 10.0, 11.0, 1e9)


def observed(child: Any) -> None:
    for amount in AMOUNTS:
        child.observe(amount, {"trace_id": "7f"} if amount == 7.25 else None)


def samples(families: Iterable[Family]) -> list[tuple[str, dict[str, str], float, Any]]:
    return [
        (each.name, each.labels, each.value, each.exemplar and (each.exemplar.labels, each.exemplar.value))
        for family in families
        for each in family.samples
        if not each.name.endswith("_created")
    ]


def test_it_has_the_samples_of_the_librarys() -> None:
    for names, values in (((), ()), (("model", "outcome"), ('a "b"', "ok"))):
        metric = Metric("seconds_of_work", "histogram", "Time.", names, (0.5, 1, 10.0))
        ours = ProcessHistogram(metric, CollectorRegistry())
        theirs = Histogram(metric.name, metric.help, names, buckets=metric.buckets, registry=None)
        observed(ours.labels(*values))
        observed(theirs.labels(*values) if names else theirs)
        assert samples(ours.collect()) == samples(theirs.collect())
        assert any(exemplar for *_, exemplar in samples(ours.collect()))


def test_without_label_values_there_is_nothing_to_show() -> None:
    metric = Metric("seconds_of_work", "histogram", "Time.", ("model",), (1.0,))
    assert samples(ProcessHistogram(metric, CollectorRegistry()).collect()) == []
