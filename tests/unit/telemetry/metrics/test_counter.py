"""Counters of one process: they have the samples that prometheus_client's own have."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.metrics_core import Metric as Family

from rerankd.telemetry.metrics.counter import ProcessCounter
from rerankd.telemetry.names import Metric


def counted(child: Any) -> None:
    child.inc()
    child.inc(0.25, {"trace_id": "7f"})
    child.inc(2)


def samples(families: Iterable[Family]) -> list[tuple[str, dict[str, str], float, Any]]:
    return [
        (each.name, each.labels, each.value, each.exemplar and (each.exemplar.labels, each.exemplar.value))
        for family in families
        for each in family.samples
        if not each.name.endswith("_created")
    ]


def test_it_has_the_samples_of_the_librarys() -> None:
    for names, values in (((), ()), (("model", "outcome"), ('a "b"', "ok"))):
        metric = Metric("pieces_of_work", "counter", "Work.", names)
        ours = ProcessCounter(metric, CollectorRegistry())
        theirs = Counter(metric.name, metric.help, names, registry=None)
        counted(ours.labels(*values))
        counted(theirs.labels(*values) if names else theirs)
        assert samples(ours.collect()) == samples(theirs.collect())
        assert any(exemplar for *_, exemplar in samples(ours.collect()))


def test_without_label_values_there_is_nothing_to_show() -> None:
    metric = Metric("pieces_of_work", "counter", "Work.", ("model",))
    assert samples(ProcessCounter(metric, CollectorRegistry()).collect()) == []
