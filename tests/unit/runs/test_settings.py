"""Settings of the run log."""

from __future__ import annotations

from rerankd.runs.settings import RunSettings


def test_numbers_are_checked() -> None:
    assert RunSettings().problems() == []
    assert RunSettings(max_chars=0, queue_size=0, keep_days=0, sync_timeout_s=-1).problems("x") == [
        "x.max_chars must be at least 1, is 0",
        "x.queue_size must be at least 1, is 0",
        "x.sync_timeout_s must be above 0, is -1",
        "x.keep_days must be above 0, is 0",
    ]
