"""Prometheus metrics of a server at one time, and their change between two times."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]
_NAMESPACE: Final = "rerankd_"


@dataclass(frozen=True, slots=True)
class MetricsSnapshot:
    """Samples of one scrape."""

    taken_s: float
    """Time of the scrape in seconds on a monotonic clock."""
    samples: Mapping[str, Mapping[Labels, float]]

    @classmethod
    def of(cls, text: str, taken_s: float) -> MetricsSnapshot:
        """Parse the text of `/metrics`.

        Raises:
            ValueError: The text contains no metrics of rerankd.
        """
        samples: dict[str, dict[Labels, float]] = {}
        for family in text_string_to_metric_families(text):
            if family.name.startswith(_NAMESPACE):
                for sample in family.samples:
                    samples.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
        if not samples:
            raise ValueError("no metrics of rerankd")
        return cls(taken_s, samples)

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of a metric that have these labels."""
        return sum(value for found, value in self.samples.get(name, {}).items() if labels.items() <= found)

    def values(self, name: str, label: str) -> list[str]:
        """List the distinct values of a label, sorted."""
        return sorted({value for found in self.samples.get(name, {}) for key, value in found if key == label})


@dataclass(frozen=True, slots=True)
class MetricsInterval:
    """The time between two snapshots; counters that were reset by a restart count from zero."""

    before: MetricsSnapshot
    after: MetricsSnapshot

    def increase(self, name: str, **labels: str) -> float:
        """Return the increase of a counter."""
        now, then = self.after.total(name, **labels), self.before.total(name, **labels)
        return now - then if now >= then else now

    def rate(self, name: str, **labels: str) -> float:
        """Return the increase of a counter per second."""
        return self.increase(name, **labels) / max(self.after.taken_s - self.before.taken_s, 1e-9)

    def quantile(self, name: str, share: float, **labels: str) -> float | None:
        """Estimate a quantile of a histogram by linear interpolation within its bucket.

        Args:
            name: Metric name without `_bucket`.
            share: 0 to 1.
            **labels: Labels that the samples must have.

        Returns:
            `None` when nothing was observed in the interval.
        """
        counts = list(self._buckets(f"{name}_bucket", labels))
        if not counts or counts[-1][1] <= 0:
            return None
        wanted = share * counts[-1][1]
        low, below = 0.0, 0.0
        for bound, count in counts:
            if count >= wanted:
                if math.isinf(bound):
                    return low
                return low + (bound - low) * (wanted - below) / max(count - below, 1e-9)
            low, below = bound, count
        return low

    def _buckets(self, name: str, labels: Mapping[str, str]) -> Iterator[tuple[float, float]]:
        bounds = sorted(self.after.values(name, "le"), key=float)
        for bound in bounds:
            yield float(bound), self.increase(name, **labels, le=bound)
