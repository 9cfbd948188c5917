"""The benchmark of the run log, small."""

from __future__ import annotations

import pytest

from benchmarks.runs import main, queries


def test_every_query_is_timed(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--runs", "1500", "--repeats", "3", "--store", "sqlite"])
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")][2:]
    found = {row[0].removeprefix("| "): int(row[1]) for row in rows}
    assert set(queries(0.0)) < set(found)
    assert (found["the newest"], found["nobody's"], found["a step of retention"]) == (50, 0, 150)
