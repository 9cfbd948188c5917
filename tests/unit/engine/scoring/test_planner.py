import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerankd.contract.errors import Reason, ServiceError
from rerankd.engine.scoring.planner import DOCUMENT_BYTES, ENVELOPE_BYTES, listwise_window, plan_chunks
from rerankd.engine.scoring.tokens import ESTIMATE
from rerankd_adapters.base import Capabilities, Scoring

POINTWISE = Scoring.POINTWISE


def facts(**stated: object) -> Capabilities:
    return Capabilities(**{"scoring": POINTWISE, **stated})  # type: ignore[arg-type]  # given by name


def sizes(stated: Capabilities, count: int) -> list[int]:
    return [len(chunk) for chunk in plan_chunks(stated, "scripted/model", "q", ["d"] * count)]


@pytest.mark.parametrize(
    ("stated", "count", "expected"),
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
        ({"max_total_tokens": 20}, 12, [6, 6]),
        ({"max_total_tokens": 1}, 3, [1, 1, 1]),
        ({"max_total_tokens": 500, "billing_unit": "search_unit"}, 450, [200, 250]),
        ({"max_total_tokens": 100, "billing_unit": "search_unit"}, 120, [40, 40, 40]),
        ({"max_request_bytes": ENVELOPE_BYTES + 3 + 4 * (DOCUMENT_BYTES + 3)}, 6, [3, 3]),
        ({"max_request_bytes": 10}, 2, [1, 1]),
    ],
)
def test_chunk_sizes(stated: dict[str, object], count: int, expected: list[int]) -> None:
    assert sizes(facts(**stated), count) == expected


def test_a_document_over_the_limit_goes_alone() -> None:
    documents = ["a", "b" * 3000, "c", "d"]
    chunks = plan_chunks(facts(max_total_tokens=20), "scripted/model", "q", documents)
    assert chunks == [range(1), range(1, 2), range(2, 4)]


texts = st.lists(st.text(max_size=60) | st.integers(0, 900).map("x".__mul__), min_size=1, max_size=120)


@given(
    texts,
    st.none() | st.integers(1, 130),
    st.none() | st.integers(1, 500),
    st.none() | st.integers(1, 30_000),
    st.sampled_from([None, "token", "search_unit"]),
)
def test_every_document_is_in_one_chunk_within_the_limits(
    documents: list[str], most: int | None, most_tokens: int | None, most_bytes: int | None, unit: str | None
) -> None:
    stated = facts(max_documents=most, max_total_tokens=most_tokens, max_request_bytes=most_bytes, billing_unit=unit)
    chunks = plan_chunks(stated, "scripted/model", "query", documents)
    assert [position for chunk in chunks for position in chunk] == list(range(len(documents)))
    for chunk in chunks:
        part = documents[chunk.start : chunk.stop]
        assert most is None or len(part) <= most
        if len(part) > 1:
            tokens = sum(ESTIMATE.count("query") + ESTIMATE.count(document) for document in part)
            assert most_tokens is None or tokens <= most_tokens
            body = msgspec.json.encode({"query": "query", "documents": [{"text": document} for document in part]})
            assert most_bytes is None or len(body) <= most_bytes


@given(texts, st.integers(1, 500))
def test_even_chunks_are_no_more_than_full_ones(documents: list[str], most_tokens: int) -> None:
    chunks = plan_chunks(facts(max_total_tokens=most_tokens), "scripted/model", "", documents)
    full, start, tokens = 1, 0, 0
    for position, document in enumerate(documents):
        cost = ESTIMATE.count(document)
        if position > start and tokens + cost > most_tokens:
            full, start, tokens = full + 1, position, 0
        tokens += cost
    assert len(chunks) <= full


def test_what_utf8_cannot_encode_is_planned_too() -> None:
    assert len(plan_chunks(facts(max_request_bytes=5000), "scripted/model", "q", ["\ud800" * 200] * 4)) > 1


def test_short_requests_are_not_counted() -> None:
    class Refusing:
        is_exact = True

        def count(self, text: str) -> int:
            raise AssertionError("counted")

    stated = facts(max_total_tokens=1000, max_request_bytes=100_000)
    assert plan_chunks(stated, "scripted/model", "query", ["document"] * 10, Refusing()) == [range(10)]


@given(st.integers(1, 5000), st.integers(100, 1000))
def test_splitting_costs_no_search_unit_more(count: int, most: int) -> None:
    chunks = sizes(facts(max_documents=most, billing_unit="search_unit"), count)
    if most % 100 == 0 or count <= most:
        assert sum(math.ceil(size / 100) for size in chunks) == math.ceil(count / 100)


@pytest.mark.parametrize("scoring", [Scoring.LISTWISE, Scoring.UNKNOWN])
def test_a_model_that_may_not_be_split_refuses_what_it_cannot_take(scoring: Scoring) -> None:
    limited = facts(scoring=scoring, max_documents=10)
    assert sizes(limited, 10) == [10]
    with pytest.raises(ServiceError) as raised:
        sizes(limited, 11)
    assert raised.value.reason is Reason.CAPABILITY_UNSUPPORTED
    assert raised.value.violations[0].field == "documents"


def test_the_error_names_the_setting_that_makes_a_model_splittable() -> None:
    with pytest.raises(ServiceError) as raised:
        plan_chunks(Capabilities(max_documents=1), "my-tei/BAAI/bge", "q", ["a", "b"])
    assert 'providers.my-tei.models."BAAI/bge".scoring: pointwise' in str(raised.value)
    assert "(1 documents per call)" in str(raised.value)


@given(texts, st.none() | st.integers(2, 130), st.none() | st.integers(1, 900), st.randoms(use_true_random=False))
def test_any_documents_fit_into_a_listwise_window(
    documents: list[str], most: int | None, most_tokens: int | None, draw: object
) -> None:
    stated = facts(scoring=Scoring.LISTWISE, max_documents=most, max_total_tokens=most_tokens)
    two = sorted(ESTIMATE.count("query") + ESTIMATE.count(document) for document in documents)[-2:]
    whole = sum(ESTIMATE.count("query") + ESTIMATE.count(document) for document in documents)
    if most_tokens is not None and len(documents) > 1 and sum(two) > most_tokens and whole > most_tokens:
        with pytest.raises(ServiceError, match="two longest"):
            listwise_window(stated, "scripted/model", "query", documents)
        return
    window = listwise_window(stated, "scripted/model", "query", documents)
    assert 2 <= window <= len(documents) or window == len(documents) == 1
    assert most is None or window <= most
    chosen = draw.sample(documents, window)  # type: ignore[attr-defined]  # a `Random`
    tokens = sum(ESTIMATE.count("query") + ESTIMATE.count(document) for document in chosen)
    assert most_tokens is None or tokens <= most_tokens or len(documents) == 1
