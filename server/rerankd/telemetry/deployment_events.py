"""Events of deployments rather than of calls."""

from __future__ import annotations

from collections.abc import Iterable

from rerankd.telemetry import names
from rerankd.telemetry.calls.trace_context import current_span
from rerankd.telemetry.metrics.instruments import metrics


def model_known(name: str, deployments: Iterable[tuple[str, str, str]]) -> None:
    """Let the names of a model that the settings or its providers have be values of metric labels.

    Args:
        name: Public name.
        deployments: `Deployment.telemetry_labels` of each.
    """
    metrics.model.learn(name)
    for provider, model, deployment in deployments:
        metrics.model.learn(f"{provider}/{model}")
        metrics.deployment.learn(deployment)


def cooldown_started(deployment: str, seconds: float) -> None:
    """Count a cooldown that begins now, and note it on the span of the provider call that caused it."""
    metrics.cooldowns.of(metrics.deployment(deployment)).inc()
    current = current_span.get()
    if current is not None:
        current.note(names.COOLDOWN.name, {"deployment": deployment, "seconds": round(seconds, 3)})
