"""Calibration error and best threshold of known scores."""

from __future__ import annotations

import pytest

from benchmarks.probabilities import best_threshold, calibration_error


def test_calibration_error_is_the_distance_of_each_bin() -> None:
    assert calibration_error([0.5, 0.5], [True, False]) == 0
    assert calibration_error([0.9, 0.9, 0.1, 0.1], [True, True, False, False]) == pytest.approx(0.1)
    assert calibration_error([1.0, 1.0], [False, False]) == 1


def test_best_threshold_separates_what_can_be_separated() -> None:
    assert best_threshold([0.9, 0.32, 0.31, 0.1], [True, True, False, False]) == (0.32, 1.0)
    assert best_threshold([0.2], [False]) == (0.0, 0.0)
