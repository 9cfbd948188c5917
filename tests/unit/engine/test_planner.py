import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerankd.engine.planner import estimate_tokens, plan_chunks
from rerankd.engine.router import Target
from rerankd.errors import Reason, ServiceError
from rerankd_adapters.base import Capabilities, ModelInfo, Scoring
from tests.support.providers import ScriptedProvider

POINTWISE = Scoring.POINTWISE


def target(**facts: object) -> Target:
    capabilities = Capabilities(**{"scoring": POINTWISE, **facts})  # type: ignore[arg-type]
    return Target("scripted/model", ScriptedProvider(), ModelInfo("model", capabilities))


def sizes(planned: Target, count: int) -> list[int]:
    return [len(chunk) for chunk in plan_chunks(planned, "q", ["d"] * count)]


@pytest.mark.parametrize(
    ("facts", "count", "expected"),
    [
        ({}, 10_000, [10_000]),
        ({"max_documents": 32}, 32, [32]),
        ({"max_documents": 32}, 33, [17, 16]),
        ({"max_documents": 1000}, 10_000, [1000] * 10),
        ({"max_documents": 1000, "billing_unit": "search_unit"}, 1001, [600, 401]),
        ({"max_documents": 250, "billing_unit": "search_unit"}, 300, [200, 100]),
        ({"max_documents": 250, "billing_unit": "search_unit"}, 240, [240]),
        ({"max_documents": 50, "billing_unit": "search_unit"}, 120, [40, 40, 40]),
        ({"max_total_tokens": 4}, 4, [2, 2]),
    ],
)
def test_chunk_sizes(facts: dict[str, object], count: int, expected: list[int]) -> None:
    assert sizes(target(**facts), count) == expected


@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=300),
    st.none() | st.integers(1, 300),
    st.none() | st.integers(1, 500),
    st.sampled_from([None, "token", "search_unit"]),
)
def test_every_document_is_in_one_chunk_within_the_limits(
    lengths: list[int], max_documents: int | None, max_total_tokens: int | None, unit: str | None
) -> None:
    planned = target(max_documents=max_documents, max_total_tokens=max_total_tokens, billing_unit=unit)
    documents = ["x" * length for length in lengths]
    chunks = plan_chunks(planned, "query", documents)
    assert [position for chunk in chunks for position in chunk] == list(range(len(documents)))
    for chunk in chunks:
        assert max_documents is None or len(chunk) <= max_documents
        tokens = sum(estimate_tokens("query") + estimate_tokens(documents[position]) for position in chunk)
        assert max_total_tokens is None or tokens <= max_total_tokens or len(chunk) == 1


@given(st.integers(1, 5000), st.integers(100, 1000))
def test_splitting_costs_no_search_unit_more(count: int, most: int) -> None:
    chunks = sizes(target(max_documents=most, billing_unit="search_unit"), count)
    if most % 100 == 0 or count <= most:
        assert sum(math.ceil(size / 100) for size in chunks) == math.ceil(count / 100)


@pytest.mark.parametrize("scoring", [Scoring.LISTWISE, Scoring.UNKNOWN])
def test_a_model_that_may_not_be_split_refuses_what_it_cannot_take(scoring: Scoring) -> None:
    limited = target(scoring=scoring, max_documents=10)
    assert sizes(limited, 10) == [10]
    with pytest.raises(ServiceError) as raised:
        sizes(limited, 11)
    assert raised.value.reason is Reason.CAPABILITY_UNSUPPORTED
    assert raised.value.violations[0].field == "documents"
