"""Answers of llm-listwise are read by stated rules, and never invented."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerankd.strategies.listwise.answers import (
    MAX_WINDOW,
    AnswerOutcome,
    draw_ids,
    read_answer,
    read_probabilities,
)

IDS = ["qk", "zr", "wp", "bg"]


@pytest.mark.parametrize(
    ("text", "order", "outcome"),
    [
        ("[wp] > [qk] > [bg] > [zr]", [2, 0, 3, 1], AnswerOutcome.OK),
        ("wp, qk, bg, zr", [2, 0, 3, 1], AnswerOutcome.OK),
        ('{"ranking": ["wp", "qk", "bg", "zr"]}', [2, 0, 3, 1], AnswerOutcome.OK),
        ("1. WP\n2. QK\n3. BG\n4. ZR", [2, 0, 3, 1], AnswerOutcome.OK),
        ("\uff37\uff30 > \uff31\uff2b > bg > zr", [2, 0, 3, 1], AnswerOutcome.OK),
        ("<think>[bg] first? [zr]!</think>\n[wp] > [qk] > [bg] > [zr]", [2, 0, 3, 1], AnswerOutcome.OK),
        ("Sure! [wp] > [qk] > [bg] > [zr]", [2, 0, 3, 1], AnswerOutcome.WRONG_FORMAT),
        ("[wp] > [qk] > [xy] > [bg] > [zr]", [2, 0, 3, 1], AnswerOutcome.WRONG_FORMAT),
        ("[wp] > [wp] > [qk] > [bg] > [zr] > [qk]", [2, 0, 3, 1], AnswerOutcome.REPETITION),
        ("[wp] > [bg]", [2, 3, 0, 1], AnswerOutcome.MISSING),
        ("[wp]", [2, 0, 1, 3], AnswerOutcome.UNUSABLE),
        ("", [0, 1, 2, 3], AnswerOutcome.UNUSABLE),
        ("awp qkb wp1", [0, 1, 2, 3], AnswerOutcome.UNUSABLE),
        ("I cannot rank these documents", [0, 1, 2, 3], AnswerOutcome.UNUSABLE),
    ],
)
def test_answers_are_read_by_rules(text: str, order: list[int], outcome: AnswerOutcome) -> None:
    reading = read_answer(text, IDS, range(4))
    assert (list(reading.order), reading.outcome) == (order, outcome)


def test_documents_that_are_not_named_follow_in_the_order_so_far() -> None:
    assert list(read_answer("[qk] [zr]", IDS, [3, 2, 1, 0]).order) == [0, 1, 3, 2]


@given(st.text(), st.integers(2, 40), st.integers())
def test_no_document_is_lost_whatever_is_answered(text: str, count: int, seed: int) -> None:
    draw = random.Random(seed)
    ids = draw_ids(count, draw)
    for answer in (text, text.join(draw.sample(ids, count // 2))):
        reading = read_answer(answer, ids, range(count))
        assert sorted(reading.order) == list(range(count))
        assert (2 * reading.named < count) == (reading.outcome is AnswerOutcome.UNUSABLE)


def test_identifiers_are_no_words_and_differ_from_call_to_call() -> None:
    ids = draw_ids(MAX_WINDOW, random.Random(1))
    assert len(set(ids)) == MAX_WINDOW
    assert not {"is", "of", "to", "km", "vs", "th"} & set(draw_ids(MAX_WINDOW, random.Random(2)))
    assert draw_ids(20, random.Random(1)) != draw_ids(20, random.Random(2))


def test_probabilities_order_the_documents() -> None:
    reading = read_probabilities([0.1, 0.0, 0.6, 0.2], range(4))
    assert (list(reading.order), reading.outcome) == ([2, 3, 0, 1], AnswerOutcome.MISSING)
    assert read_probabilities([0.1, 0.2, 0.6, 0.1], [3, 2, 1, 0]).order == [2, 1, 3, 0]
    assert read_probabilities([0.1, 0.0, 0.0, 0.0], range(4)).outcome is AnswerOutcome.UNUSABLE
    assert read_probabilities([0.25] * 4, range(4)).outcome is AnswerOutcome.OK
