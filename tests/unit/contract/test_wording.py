"""Counts and names of fields in messages."""

from __future__ import annotations

import pytest

from rerankd.contract.wording import counted, verb_of


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 documents"), (1, "1 document"), (2, "2 documents"), (1200, "1,200 documents")]
)
def test_one_is_singular(count: int, said: str) -> None:
    assert counted(count, "document") == said


@pytest.mark.parametrize(
    ("field", "verb", "said"),
    [
        ("documents", "is", "are"),
        ("input", "are", "is"),
        ("texts", "has", "have"),
        ("text_2", "have", "has"),
        ("texts[3]", "are", "is"),
        ("queries[0].text", "is", "is"),
        ("documents[0].fields", "has", "has"),
        ("top_n", "must", "must"),
        ("texts", "must", "must"),
    ],
)
def test_a_verb_has_the_number_of_its_field(field: str, verb: str, said: str) -> None:
    assert verb_of(field, verb) == said
