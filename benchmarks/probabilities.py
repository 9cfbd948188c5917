"""How good scores are as probabilities: expected calibration error, and the threshold with the best F1."""

from __future__ import annotations

from collections.abc import Sequence

_BINS = 10


def calibration_error(scores: Sequence[float], relevant: Sequence[bool], *, at_even_odds: bool = False) -> float:
    """Return the expected calibration error over ten bins of equal width.

    Args:
        scores: Probabilities, n >= 1.
        relevant: Whether each document is relevant.
        at_even_odds: Let the relevant documents weigh as much as the others together, for probabilities that suppose
            that a document is as likely relevant as not before it is read. Needs documents of both kinds.

    Returns:
        Mean over documents of the distance between a bin's mean score and its share of relevant documents, 0 to 1.
    """
    count, found = len(scores), sum(relevant)
    shares = (
        {True: 0.5 / found, False: 0.5 / (count - found)} if at_even_odds else dict.fromkeys((True, False), 1 / count)
    )
    error = 0.0
    for number in range(_BINS):
        inside = [position for position, score in enumerate(scores) if min(_BINS - 1, int(score * _BINS)) == number]
        error += abs(sum(shares[relevant[position]] * (scores[position] - relevant[position]) for position in inside))
    return error


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
