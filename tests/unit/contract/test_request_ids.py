"""Ids of requests: the caller's, or new ones."""

from __future__ import annotations

import time

import pytest

from rerankd.contract.call_context import usable_request_id


def test_new_ids_begin_with_their_time_and_are_different() -> None:
    before_ms = time.time_ns() // 1_000_000
    made = [usable_request_id(None) for _ in range(100)]
    after_ms = time.time_ns() // 1_000_000
    assert len(set(made)) == 100
    assert all(len(each) == 32 and before_ms <= int(each[:12], 16) <= after_ms for each in made)


@pytest.mark.parametrize(
    ("given", "is_kept"), [("a", True), ("a" * 129, False), ("a\n", False), ("ä", False), ("", False)]
)
def test_ids_of_callers_are_kept_if_they_can_be(given: str, is_kept: bool) -> None:
    assert (usable_request_id(given) == given) is is_kept
