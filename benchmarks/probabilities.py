"""How good scores are as probabilities: expected calibration error, and the threshold with the best F1."""

from __future__ import annotations

from collections.abc import Sequence

_BINS = 10


def calibration_error(scores: Sequence[float], relevant: Sequence[bool]) -> float:
    """Return the expected calibration error over ten bins of equal width.

    Args:
        scores: Probabilities, n >= 1.
        relevant: Whether each document is relevant.

    Returns:
        Mean over documents of the distance between a bin's mean score and its share of relevant documents, 0 to 1.
    """
    error = 0.0
    for number in range(_BINS):
        inside = [place for place, score in enumerate(scores) if min(_BINS - 1, int(score * _BINS)) == number]
        if inside:
            distance = sum(scores[place] for place in inside) - sum(relevant[place] for place in inside)
            error += abs(distance)
    return error / len(scores)


def best_threshold(scores: Sequence[float], relevant: Sequence[bool]) -> tuple[float, float]:
    """Return the threshold, in hundredths, at which returning the documents above it has the best F1, and that F1."""
    total = sum(relevant)
    best = (0.0, 0.0)
    for hundredths in range(1, 100):
        returned = [
            is_relevant for score, is_relevant in zip(scores, relevant, strict=True) if score * 100 >= hundredths
        ]
        f1 = 2 * sum(returned) / (len(returned) + total) if returned else 0.0
        if f1 > best[1]:
            best = (hundredths / 100, f1)
    return best
