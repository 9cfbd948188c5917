from __future__ import annotations

import itertools
import math

from hypothesis import given
from hypothesis import strategies as st

from rerankd.local.mixing import blend, layer, scale

_values = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40)


@st.composite
def _stages(draw: st.DrawFn) -> tuple[int, list[dict[int, float]]]:
    """Stages as the cascade makes them: each looks at a part of what the one before looked at."""
    count = draw(st.integers(1, 40))
    positions = list(range(count))
    stages: list[dict[int, float]] = []
    for _ in range(draw(st.integers(1, 4))):
        positions = draw(st.permutations(positions))[: draw(st.integers(1, len(positions)))]
        stages.append({position: draw(st.floats(-100, 100)) for position in positions})
    return count, stages


@given(_stages())
def test_layers_keep_every_order(case: tuple[int, list[dict[int, float]]]) -> None:
    count, stages = case
    scores = layer(count, stages)
    last = {position: number for number, stage in enumerate(stages) for position in stage}
    assert len(scores) == count
    assert all(math.isfinite(score) and 0 <= score <= 1 for score in scores)
    assert max(scores) == 1
    for first, second in itertools.permutations(range(count), 2):
        stage_first, stage_second = last.get(first, -1), last.get(second, -1)
        if stage_first > stage_second:
            assert scores[first] > scores[second]
        elif stage_first == stage_second >= 0 and stages[stage_first][first] > stages[stage_first][second]:
            assert scores[first] >= scores[second]


@given(_values)
def test_scaled_values_lie_between_0_and_1_in_the_same_order(values: list[float]) -> None:
    scaled = scale(values)
    assert all(0 <= value <= 1 for value in scaled)
    order = sorted(range(len(values)), key=values.__getitem__)
    assert all(scaled[before] <= scaled[after] for before, after in itertools.pairwise(order))


def test_blend_weighs_scaled_parts() -> None:
    assert blend([(0.7, [0.0, 10.0]), (0.3, [5.0, 5.0])]) == [0.0, 0.7]
