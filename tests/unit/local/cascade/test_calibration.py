"""Scores of the cascade are probabilities that keep the order of each stage."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerankd.local.bm25 import Bm25Query
from rerankd.local.cascade.calibration import (
    _LISTED_SHARE,
    at_even_odds,
    late_probability,
    late_value,
    pair_probability,
    static_probability,
    words_probability,
)
from rerankd.local.provider import LocalProvider
from rerankd_adapters.base import ProviderCall

_share = st.floats(0, 1)
_similarity = st.floats(-1, 1)
BEES = "how do bees make honey"


@given(_share, _similarity, _similarity, st.floats(-20, 20))
def test_probabilities_lie_in_the_band_of_their_stage(match: float, cosine: float, maxsim: float, logit: float) -> None:
    late = late_value(match, cosine, maxsim)
    assert 0 < words_probability(match) < at_even_odds(0.02)
    assert 0 < static_probability(match, cosine, maxsim) < at_even_odds(0.05)
    assert 0 < late_probability(late) < at_even_odds(0.3)
    assert 0 < pair_probability(logit, late) < 1
    assert 0 < pair_probability(logit, None) < 1


@given(st.floats(0, 1), st.floats(0, 1))
def test_even_odds_keep_every_order(one: float, other: float) -> None:
    less, more = sorted((one, other))
    assert 0 <= at_even_odds(less) <= at_even_odds(more) <= 1
    assert at_even_odds(more) >= more


def test_what_says_nothing_new_is_as_likely_as_not() -> None:
    assert at_even_odds(_LISTED_SHARE) == pytest.approx(0.5)
    assert (at_even_odds(0), at_even_odds(1)) == (0, 1)
    odds = [at_even_odds(share) / (1 - at_even_odds(share)) * (1 - share) / share for share in (0.05, 0.5, 0.9)]
    assert odds == pytest.approx([odds[0]] * 3)


@pytest.mark.parametrize(
    "probability",
    [
        words_probability,
        lambda value: static_probability(0.2, value, 0.5),
        lambda value: static_probability(0.2, 0.5, value),
        late_probability,
        lambda value: late_probability(late_value(value, 0.5, 0.5)),
        lambda value: pair_probability(value, None),
        lambda value: pair_probability(0.0, value),
    ],
)
def test_more_of_a_feature_is_more_probable(probability: Callable[[float], float]) -> None:
    scores = [probability(step / 10) for step in range(11)]
    assert scores == sorted(set(scores))


def test_matches_saturate_and_need_no_other_document() -> None:
    words = Bm25Query("rare word")
    none, one, both, often = words.matches([words.count(text) for text in ("", "rare", "rare word", "rare word " * 9)])
    assert 0 == none < one < both < often < 1
    assert words.matches([words.count("rare")]) == [one]


@pytest.mark.parametrize(
    ("query", "right", "unrelated"),
    [
        (BEES, "Bees make honey from nectar.", "The stock market fell."),
        (BEES, "Bees turn nectar into honey", "The stock market fell"),
        ("what is the capital of france", "Paris is the capital of France.", "Our office is closed on Sundays."),
        (
            "how long do lithium batteries last",
            "A lithium-ion battery typically lasts two to three years or 300 to 500 charge cycles.",
            "Bananas are yellow.",
        ),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_document_alone_is_scored_by_what_it_says(
    shared: LocalProvider, query: str, right: str, unrelated: str
) -> None:
    for text, is_right in ((right, True), (unrelated, False)):
        reply = await shared.rerank(
            ProviderCall(model="default", query=query, documents=[text], options={"mode": "quality"})
        )
        assert reply.scores[0] > 0.6 if is_right else reply.scores[0] < 0.2
