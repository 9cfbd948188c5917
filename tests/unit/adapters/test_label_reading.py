"""Labels in answers: by probabilities, in JSON, in text."""

import math

import pytest

from rerankd_adapters.label_reading import label_in_json, label_in_text, label_probabilities, match_label

GRADES = ("0", "1", "2", "3")


@pytest.mark.parametrize(
    ("token", "label"),
    [
        ("2", "2"),
        (" 2", "2"),
        ("\u01202", "2"),
        ("\u25812", "2"),
        ("2\n", "2"),
        ("22", None),
        ("", None),
        ("two", None),
    ],
)
def test_tokens_that_spell_a_label(token: str, label: str | None) -> None:
    assert match_label(GRADES, token) == label


def test_case_does_not_matter() -> None:
    assert [match_label(("yes", "no"), token) for token in ("Yes", "YES", " No", "None")] == ["yes", "yes", "no", None]


def test_spellings_are_summed_and_others_left_out() -> None:
    tokens = [("yes", math.log(0.5)), ("Yes", math.log(0.25)), ("no", math.log(0.125)), ("The", math.log(0.1))]
    assert label_probabilities(("no", "yes"), tokens) == pytest.approx([0.125, 0.75])


@pytest.mark.parametrize(
    "tokens",
    [
        [],
        [("<think>", -0.001)],
        [("2", -9999.0)],
        [("2", math.nan)],
        [("2", 5.0)],
    ],
)
def test_no_verdict_is_none(tokens: list[tuple[str, float]]) -> None:
    assert label_probabilities(GRADES, tokens) is None


def test_tokens_by_id() -> None:
    tokens = [("token_id:15", math.log(0.25)), ("token_id:16", math.log(0.5)), ("token_id:99", -0.1)]
    found = label_probabilities(("0", "1"), tokens, {"token_id:15": "0", "token_id:16": "1"})
    assert found == pytest.approx([0.25, 0.5])


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ('{"answer": "2"}', "2"),
        ('{"answer": 2}', "2"),
        ('```json\n{"answer": "2"}\n```', "2"),
        ('"2"', "2"),
        ("2", "2"),
        ('{"answer": "7"}', None),
        ('{"answer": {"answer": "2"}}', None),
        ('{"answer": ', None),
        ("[" * 100_000, None),
        ("", None),
    ],
)
def test_labels_in_json(text: str, label: str | None) -> None:
    assert label_in_json(GRADES, text) == label


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("2", "2"),
        (" 2.\n", "2"),
        ("**2**", "2"),
        ("Relevance: 2", "2"),
        ("(2)", "2"),
        ("2 or 3", None),
        ("12", None),
        ("2/3", None),
        ("none", None),
        ("", None),
    ],
)
def test_labels_in_text(text: str, label: str | None) -> None:
    assert label_in_text(GRADES, text) == label
