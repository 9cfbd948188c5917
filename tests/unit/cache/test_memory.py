"""The bound is true, the oldest go first, and nothing outlives its time."""

from __future__ import annotations

import gc
import os
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerankd.cache.memory import ENTRY_BYTES, ScoreMemory


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def key(number: int) -> bytes:
    return b"\0" + number.to_bytes(15, "big")


def test_scores_come_back_in_the_order_of_the_keys() -> None:
    shard = ScoreMemory(10_000, 60).shard(0)
    shard.set_many({key(1): 0.25, key(2): -0.0})
    shard.set_many({key(1): 0.5})
    assert shard.get_many([key(2), key(3), key(1), key(2)]) == [-0.0, None, 0.5, -0.0]
    assert shard.get_many([key(2), key(1), key(2)]) == [-0.0, 0.5, -0.0]
    assert shard.get_many([]) == []
    assert len(shard) == 2


def test_each_score_has_its_own_time() -> None:
    clock = Clock()
    shard = ScoreMemory(10_000, 60, clock).shard(0)
    shard.set_many({key(1): 0.0})
    clock.now_s += 20
    shard.set_many({key(2): 0.5})
    assert shard.get_many([key(2), key(1)]) == [0.5, 0.0]
    clock.now_s += 40
    assert shard.get_many([key(2), key(1)]) == [0.5, None]
    assert len(shard) == 1


def test_a_score_is_gone_when_its_time_is_over_however_often_it_is_used() -> None:
    clock = Clock()
    shard = ScoreMemory(10_000, 60, clock).shard(0)
    shard.set_many({key(1): 1.0})
    clock.now_s += 59.9
    assert shard.get_many([key(1)]) == [1.0]
    clock.now_s += 0.1
    assert shard.get_many([key(1)]) == [None]
    assert len(shard) == 0, "what is found too old is given up"


def test_storing_again_starts_the_time_again() -> None:
    clock = Clock()
    shard = ScoreMemory(10_000, 60, clock).shard(0)
    shard.set_many({key(1): 1.0})
    clock.now_s += 50
    shard.set_many({key(1): 2.0})
    clock.now_s += 50
    assert shard.get_many([key(1)]) == [2.0]


def test_the_least_recently_used_go_first() -> None:
    memory = ScoreMemory(4 * ENTRY_BYTES, 60)
    shard = memory.shard(0)
    shard.set_many({key(number): float(number) for number in range(4)})
    shard.get_many([key(0), key(9)])
    shard.get_many([key(1)])
    shard.set_many({key(4): 4.0})
    assert shard.get_many([key(number) for number in range(5)]) == [0.0, 1.0, None, 3.0, 4.0]
    assert memory.evicted == 1


def test_a_bound_too_small_for_one_entry_keeps_one() -> None:
    shard = ScoreMemory(1, 60).shard(0)
    shard.set_many({key(1): 1.0, key(2): 2.0})
    assert shard.get_many([key(1), key(2)]) == [None, 2.0]


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=200), st.integers(1, 20))
def test_what_is_returned_was_the_last_score_stored(steps: list[tuple[int, bool]], most: int) -> None:
    shard = ScoreMemory(most * ENTRY_BYTES, 60).shard(0)
    last: dict[int, float] = {}
    for turn, (number, is_write) in enumerate(steps):
        if is_write:
            shard.set_many({key(number): float(turn)})
            last[number] = float(turn)
            assert shard.get_many([key(number)]) == [float(turn)], "the newest is there"
        else:
            assert shard.get_many([key(number)])[0] in (None, last.get(number))
        assert len(shard) <= most


@pytest.mark.parametrize("limit_mb", [1, 3, 24])
@pytest.mark.parametrize("reads", [False, True])
def test_the_bound_is_that_of_the_real_memory(limit_mb: int, reads: bool) -> None:
    limit_bytes = limit_mb * 1024 * 1024
    total = 3 * limit_bytes // ENTRY_BYTES
    gc.collect()
    tracemalloc.start()
    try:
        memory = ScoreMemory(limit_bytes, 60)
        for start in range(0, total, 1000):
            keys = [os.urandom(16) for _ in range(1000)]
            shard = memory.shard(start // 1000)
            shard.set_many({key: start + number / 1000 for number, key in enumerate(keys)})
            if reads:
                shard.get_many(keys)
        del keys
        real_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.75 * limit_bytes < real_bytes < 1.1 * limit_bytes
    assert 0.8 * real_bytes < memory.used_bytes < 1.25 * real_bytes
