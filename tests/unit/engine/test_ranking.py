import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerankd.engine.ranking import Normalisation, normalise, rank
from rerankd.engine.routing.reply_check import check_reply
from rerankd_adapters.base import AdapterError, AdapterErrorKind, ProviderReply

finite = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(finite, min_size=1, max_size=200), st.data())
def test_rank_is_the_sorted_list_cut(scores: list[float], data: st.DataObject) -> None:
    indices = data.draw(st.permutations(range(len(scores))))
    top_n = data.draw(st.none() | st.integers(1, 300))
    threshold = data.draw(st.none() | finite)
    pairs = sorted(zip(indices, scores, strict=True), key=lambda pair: (-pair[1], pair[0]))
    kept = [(index, score) for index, score in pairs if threshold is None or score >= threshold]
    ranked = rank(indices, scores, top_n, threshold)
    assert list(zip(*ranked, strict=True)) == kept[:top_n]


@pytest.mark.parametrize(
    ("indices", "scores", "fault"),
    [
        ([0, 1], [1.0], "2 indices for 1 score"),
        ([0], [1.0], "1 score for 2 documents"),
        ([0, 0], [1.0, 2.0], "duplicate index"),
        ([0, 2], [1.0, 2.0], "index outside 0..1"),
        ([-1, 0], [1.0, 2.0], "index outside 0..1"),
        ([0, 1], [1.0, math.nan], "a score is not a finite number"),
        ([0, 1], [math.inf, 1.0], "a score is not a finite number"),
    ],
)
def test_broken_replies_are_refused(indices: list[int], scores: list[float], fault: str) -> None:
    with pytest.raises(AdapterError) as raised:
        check_reply(ProviderReply(indices=indices, scores=scores), 2)
    assert raised.value.kind is AdapterErrorKind.BAD_RESPONSE
    assert raised.value.message.endswith(fault)


def test_a_whole_reply_is_accepted() -> None:
    check_reply(ProviderReply(indices=[1, 0], scores=[0.5, -3.0]), 2)


def places(scores: Sequence[float]) -> list[int]:
    levels = sorted(set(scores))
    return [levels.index(score) for score in scores]


wide = st.lists(
    finite | st.sampled_from([0.0, -0.0, 1e308, -1e308, 5e-324, -5e-324, 40.0, 41.0, 1.0, math.nextafter(1.0, 2)]),
    min_size=1,
    max_size=60,
)


@pytest.mark.parametrize("mode", [Normalisation.MINMAX, Normalisation.SIGMOID])
@given(scores=wide)
def test_normalised_scores_keep_order_and_ties(mode: Normalisation, scores: list[float]) -> None:
    mapped = normalise(scores, mode)
    assert all(0 <= score <= 1 for score in mapped)
    assert places(mapped) == places(scores)


@given(wide)
def test_minmax_reaches_from_0_to_1(scores: list[float]) -> None:
    mapped = normalise(scores, Normalisation.MINMAX)
    assert max(mapped) == 1.0
    assert min(mapped) == (0.0 if len(set(scores)) > 1 else 1.0)


@pytest.mark.parametrize(
    ("mode", "scores", "expected"),
    [
        (Normalisation.NONE, [3.0, -1e308], [3.0, -1e308]),
        (Normalisation.MINMAX, [], []),
        (Normalisation.MINMAX, [2.0, 2.0], [1.0, 1.0]),
        (Normalisation.MINMAX, [1.0, 3.0, 2.0], [0.0, 1.0, 0.5]),
        (Normalisation.MINMAX, [1e308, 0.0, -1e308], [1.0, 0.5, 0.0]),
        (Normalisation.SIGMOID, [0.0, math.log(3), -math.log(3)], [0.5, 0.75, 0.25]),
        (Normalisation.SIGMOID, [1e308, -1e308], [1.0, 0.0]),
    ],
)
def test_normalised_scores(mode: Normalisation, scores: list[float], expected: list[float]) -> None:
    assert normalise(scores, mode) == pytest.approx(expected)


def test_equal_scores_give_equal_bytes() -> None:
    written = [repr(rank([0, 1], scores, None, None).scores) for scores in ([0, 1], [-0.0, 1.0])]
    assert written == ["[1.0, 0.0]"] * 2
    assert repr(normalise([-0.0, -1.0], Normalisation.MINMAX)) == "[1.0, 0.0]"


def test_the_threshold_is_of_what_is_shown() -> None:
    mapped = normalise([5.0, 7.0, 9.0], Normalisation.MINMAX)
    assert rank([0, 1, 2], mapped, 2, 0.5).indices == [2, 1]
    assert rank([0, 1, 2], mapped, 1, 0.5).indices == [2]
