"""Time budget of `local/default` and its split between the stages."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from rerankd_adapters.base import AdapterError, AdapterErrorKind
from rerankd_adapters.parameter import Kind, Parameter, text

DEADLINE_MARGIN_S = 0.02
"""Reserved before a call's deadline for sorting and encoding the response."""
_FINISH_S = 0.008
"""Reserved at the end of the budget for combining scores."""
_CROSS_ENCODER_SHARE = 0.4
"""Largest share of the remaining time reserved for the cross-encoder when not everything fits.

Mean NDCG@10 of four sets with 850 ms of one core for both: 0.727 with 0.6, 0.734 with 0.4, 0.735 with 0.3.
"""
_STATIC_SHARE = 0.4
"""Largest share of the remaining time for static vectors; documents beyond it are ordered by BM25 alone."""
_CAUTION = 1.1
"""Safety factor on estimated run times."""


OWN_PARAMETERS: Final[Mapping[str, Parameter]] = {
    "mode": text("docs/configuration.md", "budget", "quality"),
    "budget_ms": Parameter(kinds=(Kind.NUMBER,), source="docs/configuration.md"),
}
"""Own parameters of `local/default`: what one call may change of its settings."""


@dataclass(frozen=True, slots=True)
class Budget:
    """End of one call's time."""

    end_s: float | None
    """A `time.monotonic()`; `None` when neither budget nor deadline limits the call."""

    @classmethod
    def start(cls, *, mode: str, budget_ms: float, deadline_s: float | None) -> Budget:
        """Start a budget now. A deadline limits both modes."""
        ends = []
        if mode == "budget":
            ends.append(time.monotonic() + budget_ms / 1000 - _FINISH_S)
        if deadline_s is not None:
            ends.append(deadline_s - DEADLINE_MARGIN_S)
        return cls(min(ends) if ends else None)

    @property
    def is_limited(self) -> bool:
        """Whether the call has a time limit."""
        return self.end_s is not None

    def fits(self, cost_s: float, end_s: float | None) -> bool:
        """Tell whether a run of `cost_s` started now ends by `end_s`."""
        return end_s is None or time.monotonic() + cost_s * _CAUTION <= end_s

    def static_end_s(self) -> float | None:
        """Return when to stop comparing static vectors; call it at the start of that stage."""
        return self._before_end(1 - _STATIC_SHARE)

    def late_interaction_end_s(self, cross_encoder_s: float, workers: float) -> float | None:
        """Return when to stop starting MiniLM runs; call it at the start of that stage.

        Args:
            cross_encoder_s: Time one worker needs for all pairs of the cross-encoder stage.
            workers: Workers available to this call.
        """
        if self.end_s is None:
            return None
        left_s = max(0.0, self.end_s - time.monotonic())
        wanted_s = cross_encoder_s * _CAUTION / max(workers, 0.1)
        return self.end_s - min(wanted_s, _CROSS_ENCODER_SHARE * left_s)

    def _before_end(self, share: float) -> float | None:
        if self.end_s is None:
            return None
        return self.end_s - share * max(0.0, self.end_s - time.monotonic())


def read_options(options: Mapping[str, Any], *, mode: str, budget_ms: float) -> tuple[str, float]:
    """Read a call's own `mode` and `budget_ms`.

    Args:
        options: The call's options.
        mode: Default, "budget" or "quality".
        budget_ms: Default.

    Returns:
        Mode and budget in milliseconds. A budget given without a mode means the mode "budget".

    Raises:
        AdapterError: `REJECTED` for a value out of range.
    """
    if "budget_ms" in options:
        mode, budget_ms = "budget", options["budget_ms"]
    mode = options.get("mode", mode)
    if mode not in ("budget", "quality"):
        raise _refuse("mode", 'mode is "budget" or "quality"')
    is_number = isinstance(budget_ms, int | float) and not isinstance(budget_ms, bool)
    if not is_number or not math.isfinite(budget_ms) or budget_ms <= 0:
        raise _refuse("budget_ms", "budget_ms is a number of milliseconds above 0")
    return mode, float(budget_ms)


def _refuse(name: str, message: str) -> AdapterError:
    return AdapterError(AdapterErrorKind.REJECTED, message, field=f"provider_options.{name}")
