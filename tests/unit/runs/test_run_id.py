"""Ids of runs."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from rerankd.runs.run_id import RunIds, first_run_id, time_of

TIMES = st.floats(0, 2**47 / 1000)


@given(TIMES, TIMES)
def test_ids_are_in_the_order_of_time(one: float, other: float) -> None:
    ids = RunIds()
    first, second = ids.new(one), ids.new(other)
    if one + 0.001 < other:
        assert first < second
    assert first_run_id(one) <= first
    assert abs(time_of(first) - one) < 1e-3


def test_they_are_uuids_of_version_7() -> None:
    ids = RunIds()
    made = [ids.new(1_700_000_000.1234) for _ in range(600)]
    assert len(set(made)) == 600
    for each in made:
        assert (uuid.UUID(each).version, uuid.UUID(each).variant) == (7, uuid.RFC_4122)
        assert str(uuid.UUID(each)) == each
    assert {each[:18] for each in made} == {first_run_id(1_700_000_000.1234)[:18]}


def test_times_out_of_range_have_ids_too() -> None:
    assert first_run_id(-1.0) == "00000000-0000-7000-8000-000000000000"
    assert first_run_id(1e18).startswith("ffffffff-ffff-7fff")
