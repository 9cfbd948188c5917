"""Events of deployments rather than of calls."""

from __future__ import annotations

from rerankd.telemetry import names
from rerankd.telemetry.metrics import metrics
from rerankd.telemetry.trace_context import current_span


def cooldown_started(deployment: str, seconds: float) -> None:
    """Count a cooldown that begins now, and note it on the span of the provider call that caused it."""
    metrics.cooldowns.of(metrics.deployment(deployment)).inc()
    current = current_span.get()
    if current is not None:
        current.note(names.COOLDOWN.name, {"deployment": deployment, "seconds": round(seconds, 3)})
