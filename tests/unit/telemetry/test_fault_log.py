"""A lasting fault is logged when it begins and when it is over."""

from __future__ import annotations

import pytest
import structlog
from structlog.testing import capture_logs

from rerankd.telemetry.fault_log import FaultLog


def test_a_fault_is_logged_when_it_begins_and_when_it_is_over() -> None:
    with capture_logs() as logged:
        faults = FaultLog(structlog.get_logger(), "keys cannot be read", "keys can be read again", issuer="one")
        faults.succeeded()
        assert (logged, faults.lasts) == ([], False)
        for _ in range(3):
            faults.failed(OSError("away"))
        assert faults.lasts
        faults.succeeded()
        faults.succeeded()
        faults.failed("gone")
    assert logged == [
        {"event": "keys cannot be read", "issuer": "one", "problem": "away", "log_level": "warning"},
        {"event": "keys can be read again", "issuer": "one", "log_level": "info"},
        {"event": "keys cannot be read", "issuer": "one", "problem": "gone", "log_level": "warning"},
    ]


@pytest.mark.parametrize(("problem", "said"), [(TimeoutError(), {"problem": "TimeoutError"}), ("", {})])
def test_a_fault_without_text_is_called_by_its_type(problem: Exception | str, said: dict[str, str]) -> None:
    with capture_logs() as logged:
        FaultLog(structlog.get_logger(), "begins", "ends").failed(problem)
    assert logged == [{"event": "begins", "log_level": "warning", **said}]
