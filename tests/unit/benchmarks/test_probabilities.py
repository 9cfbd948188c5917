"""Calibration error and best threshold of known scores."""

from __future__ import annotations

import pytest

from benchmarks.probabilities import best_threshold, calibration_error


def test_calibration_error_is_the_distance_of_each_bin() -> None:
    assert calibration_error([0.5, 0.5], [True, False]) == 0
    assert calibration_error([0.9, 0.9, 0.1, 0.1], [True, True, False, False]) == pytest.approx(0.1)
    assert calibration_error([1.0, 1.0], [False, False]) == 1


def test_calibration_error_at_even_odds_counts_both_kinds_alike() -> None:
    scores, relevant = [0.8, 0.8, 0.2] + [0.2] * 4 + [0.8], [True] * 2 + [False] * 6
    assert calibration_error(scores, relevant, at_even_odds=True) == pytest.approx(
        0.5 * abs(0.8 * (1 + 1 / 6) - 1) + 0.5 * 0.2 * 5 / 6
    )
    balanced = [0.75] * 4 + [0.25] * 4
    kinds = [True, True, True, False, True, False, False, False]
    assert calibration_error(balanced, kinds, at_even_odds=True) == pytest.approx(0)
    thrice = [*balanced, *(score for score, kind in zip(balanced, kinds, strict=True) if not kind for _ in range(2))]
    more = [*kinds, *[False] * 8]
    assert calibration_error(thrice, more, at_even_odds=True) == pytest.approx(0)
    assert calibration_error(thrice, more) > 0.1


def test_best_threshold_separates_what_can_be_separated() -> None:
    assert best_threshold([0.9, 0.32, 0.31, 0.1], [True, True, False, False]) == (0.32, 1.0)
    assert best_threshold([0.2], [False]) == (0.0, 0.0)
