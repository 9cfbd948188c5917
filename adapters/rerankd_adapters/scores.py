"""Arithmetic on relevance scores that adapters and the server share."""

from __future__ import annotations

import math


def sigmoid(logit: float) -> float:
    """Map a logit to a probability, 0 to 1; never overflows, and grows with its argument."""
    if logit >= 0:
        return 1.0 / (1.0 + math.exp(-logit))
    odds = math.exp(logit)
    return odds / (1.0 + odds)
