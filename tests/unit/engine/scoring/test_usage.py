"""What the parts of a call consumed is summed, and an unknown cost stays unknown."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rerankd.contract.messages import Usage
from rerankd.engine.scoring.usage import sum_usage

COUNT = st.integers(0, 10_000)
USD = st.none() | st.integers(0, 1000).map(float)
PARTS = st.lists(
    st.builds(
        Usage,
        documents=COUNT,
        prompt_tokens=COUNT,
        completion_tokens=COUNT,
        total_tokens=COUNT,
        search_units=COUNT,
        cost=USD,
        cached_documents=COUNT,
        saved_cost=USD,
    ),
    max_size=5,
)


@given(PARTS)
def test_every_count_is_the_sum_of_the_parts(parts: list[Usage]) -> None:
    total = sum_usage(parts)
    for name in ("documents", "prompt_tokens", "completion_tokens", "total_tokens", "search_units", "cached_documents"):
        assert getattr(total, name) == sum(getattr(part, name) for part in parts)


@given(PARTS)
def test_a_cost_is_known_if_that_of_every_part_is(parts: list[Usage]) -> None:
    costs = [part.cost for part in parts]
    total = sum_usage(parts)
    assert total.cost == (None if None in costs else sum(cost for cost in costs if cost is not None))
    saved = [part.saved_cost for part in parts if part.saved_cost is not None]
    assert total.saved_cost == (sum(saved) if saved else None)
