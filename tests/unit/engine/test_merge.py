import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerankd.engine.merge import check_reply, rank
from rerankd.errors import Reason, ServiceError
from rerankd_adapters.base import ProviderReply

finite = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(finite, min_size=1, max_size=200), st.data())
def test_rank_is_the_sorted_list_cut(scores: list[float], data: st.DataObject) -> None:
    indices = data.draw(st.permutations(range(len(scores))))
    top_n = data.draw(st.none() | st.integers(1, 300))
    threshold = data.draw(st.none() | finite)
    pairs = sorted(zip(indices, scores, strict=True), key=lambda pair: (-pair[1], pair[0]))
    kept = [(index, score) for index, score in pairs if threshold is None or score >= threshold]
    ranked = rank(indices, scores, top_n, threshold)
    assert [(index, -negated) for negated, index in ranked] == kept[:top_n]


@pytest.mark.parametrize(
    ("indices", "scores", "fault"),
    [
        ([0, 1], [1.0], "2 indices for 1 scores"),
        ([0], [1.0], "1 scores for 2 documents"),
        ([0, 0], [1.0, 2.0], "an index twice"),
        ([0, 2], [1.0, 2.0], "an index outside 0..1"),
        ([-1, 0], [1.0, 2.0], "an index outside 0..1"),
        ([0, 1], [1.0, math.nan], "a score that is not a finite number"),
        ([0, 1], [math.inf, 1.0], "a score that is not a finite number"),
    ],
)
def test_broken_replies_are_refused(indices: list[int], scores: list[float], fault: str) -> None:
    with pytest.raises(ServiceError) as raised:
        check_reply(ProviderReply(indices=indices, scores=scores), 2, "cohere")
    assert raised.value.reason is Reason.PROVIDER_BAD_RESPONSE
    assert raised.value.metadata == {"provider": "cohere", "fault": fault}


def test_a_whole_reply_is_accepted() -> None:
    check_reply(ProviderReply(indices=[1, 0], scores=[0.5, -3.0]), 2, "cohere")
