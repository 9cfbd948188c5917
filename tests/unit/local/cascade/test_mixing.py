from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from rerankd.local.cascade.mixing import blend, scale

_values = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40)


@given(_values)
def test_scaled_values_lie_between_0_and_1_in_the_same_order(values: list[float]) -> None:
    scaled = scale(values)
    assert all(0 <= value <= 1 for value in scaled)
    order = sorted(range(len(values)), key=values.__getitem__)
    assert all(scaled[before] <= scaled[after] for before, after in itertools.pairwise(order))


def test_blend_weighs_scaled_parts() -> None:
    assert blend([(0.7, [0.0, 10.0]), (0.3, [5.0, 5.0])]) == [0.0, 0.7]
