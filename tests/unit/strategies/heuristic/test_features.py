from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerankd.local.bm25 import Bm25Query
from rerankd.local.tokens.words import cut_text
from rerankd.strategies.heuristic.features import (
    QueryWords,
    TextScores,
    TextWords,
    length_feature,
    prior_feature,
    recency_feature,
)

QUERY = "solar sail motor"
DAY_S = 86_400.0


def score(query: str, *documents: str) -> TextScores:
    words = QueryWords(query)
    return asyncio.run(words.score([words.read(document) for document in documents]))


@given(st.text(max_size=30), st.lists(st.text(max_size=80), min_size=1, max_size=6))
def test_bm25_is_that_of_the_local_model(query: str, documents: list[str]) -> None:
    bm25 = Bm25Query(query)
    assert score(query, *documents).bm25 == bm25.score([bm25.count(document) for document in documents])


@given(st.text(max_size=60), st.lists(st.text(max_size=200), min_size=1, max_size=6))
def test_features_are_shares(query: str, documents: list[str]) -> None:
    found = score(query, *documents)
    assert all(0 <= value <= 1 for value in (*found.phrase, *found.proximity))


@pytest.mark.parametrize(
    ("query", "near", "far"),
    [
        (QUERY, "the solar sail and its motor", "solar power for a motor of the boat with a sail"),
        ("bank of England", "The Bank of England said", "England has a bank"),
        ("太阳帆", "关于太阳帆的历史", "帆船上的阳光和太平洋"),
        ("الشراع الشمسي", "قصة الشراع الشمسي الاول", "الشمسي هو نوع من الشراع"),
        ("солнечный парус", "про солнечный парус", "парус и очень солнечный день"),
        ("🍕 🎉 party", "a 🍕🎉 party", "🎉 is a long way from 🍕 at the party"),
    ],
)
def test_phrases_and_near_words_count_in_any_script(query: str, near: str, far: str) -> None:
    found = score(query, far, near)

    assert found.phrase[1] > found.phrase[0]
    assert found.proximity[1] > found.proximity[0]


def test_stop_words_do_not_part_a_phrase() -> None:
    found = score("capital of France", "the capital of the France that was", "capital goods made in northern France")
    assert found.phrase[0] > found.phrase[1] == 0.0


def test_a_query_of_one_word_has_no_phrase() -> None:
    found = score("sail", "sail sail", "motor")
    assert found.phrase == found.proximity == [0.0, 0.0]


def test_a_repeated_word_is_no_phrase() -> None:
    assert QueryWords("sail sail motor").phrases == [(0, 1)]


def test_a_boosted_part_counts_as_if_it_stood_there_so_often() -> None:
    words = QueryWords(QUERY)
    title, body = words.read("solar sail."), words.read("A motor on a ship.")

    boosted = TextWords.add([title, body], [2.0, 1.0])

    assert boosted.counts == words.read("solar sail. solar sail. A motor on a ship.").counts
    assert boosted.phrases == {0: 2.0}


def test_a_long_document_read_in_parts_has_the_same_words() -> None:
    words = QueryWords(QUERY)
    text = "The solar sail, opened by a motor, tore. " * 50

    parts = [words.read(part) for part in cut_text(text, 200)]

    assert len(parts) > 5
    assert TextWords.add(parts, [1.0] * len(parts)).counts == words.read(text).counts


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_prior_scores_of_any_scale_keep_their_order(priors: list[float]) -> None:
    scaled = prior_feature(priors).scores

    by_scaled = sorted(range(len(priors)), key=lambda position: (scaled[position], priors[position]))
    assert [priors[position] for position in by_scaled] == sorted(priors)


def test_one_outlier_leaves_the_other_priors_apart() -> None:
    values = prior_feature([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 1000.0]).scores

    assert values[3] == 0.5
    assert values[5] - values[0] > 0.5
    assert values[6] == 1.0


def test_equal_priors_tell_nothing_apart() -> None:
    assert set(prior_feature([3.0, 3.0, 3.0]).scores) == {3.0}


def test_recency_halves_with_every_half_life() -> None:
    now_s = 1_800_000_000.0
    feature = recency_feature([now_s, now_s - 30 * DAY_S, now_s - 90 * DAY_S, now_s + DAY_S, None], now_s, 30)

    assert feature.scores[:4] == pytest.approx([1.0, 0.5, 0.125, 1.0])
    assert feature.scores[4] == pytest.approx((1 + 0.5 + 0.125 + 1) / 4)


def test_recency_without_any_date_tells_nothing_apart() -> None:
    assert recency_feature([None, None], 0.0, 30).scores == [0.0, 0.0]


def test_length_prefers_what_is_about_as_long() -> None:
    words = QueryWords(QUERY)
    documents = [words.read("word " * count) for count in (99, 49, 199, 9)]

    values = length_feature(documents, 99).scores

    assert values == pytest.approx([1.0, 0.786, 0.786, 0.0706], rel=0.01)
