from __future__ import annotations

import asyncio
import random

import pytest

from rerankd.evaluation.measures.intervals import Interval, bootstrap, bootstrap_in_slices


def test_interval_holds_the_mean_and_narrows() -> None:
    few, many = bootstrap([0.0, 1.0] * 5), bootstrap([0.0, 1.0] * 500)

    assert few.low < few.mean == 0.5 < few.high
    assert many.high - many.low < (few.high - few.low) / 5
    assert bootstrap([0.25] * 9).low == bootstrap([0.25] * 9).high == pytest.approx(0.25)


def test_interval_is_that_of_the_normal_distribution_for_many_values() -> None:
    source = random.Random(3)
    values = [source.gauss(0.1, 1.0) for _ in range(4000)]

    found = bootstrap(values)

    assert found.high - found.mean == pytest.approx(1.96 / 4000**0.5, rel=0.15)
    assert found.mean - found.low == pytest.approx(1.96 / 4000**0.5, rel=0.15)


def test_a_difference_is_clear_if_its_interval_leaves_0_out() -> None:
    assert Interval(0.2, 0.1, 0.3).is_clear
    assert Interval(-0.2, -0.3, -0.1).is_clear
    assert not Interval(0.1, -0.1, 0.3).is_clear


async def test_slices_give_the_same_interval_and_other_tasks_their_turn() -> None:
    values = [number % 7 / 7 for number in range(5000)]
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(count())
    assert await bootstrap_in_slices(values) == bootstrap(values)
    other.cancel()
    assert turns > 10
