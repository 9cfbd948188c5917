"""Objects as block YAML: the dumper's text, to the letter, and most of it without the dumper."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerankd.engine import block_text as module
from rerankd.engine.block_text import block_text, dumped
from rerankd_adapters.wire import whole_numbers

ODD = st.text("aé-:#?,[]{}&*!|>'\"%@` \n\t.0=<~ny\x01\x7f\x85\u2028\u2029\r\U0001f600\ufeff\uffff\\", max_size=8)
WORDS = st.sampled_from(
    [
        *("yes", "No", "null", "~", "1", "0x1f", "1e3", "1_0", "1:30", "2020-01-01", ".inf", "=", "<<", "- a", "a: b"),
        *(
            "a #b",
            "",
            "---",
            "...",
            "--- a",
            "don't",
            "a:b",
            "a:",
            ":a",
            "-",
            "?",
            "? a",
            "a\nb",
            "a\n\nb\n",
            "a \nb",
            "k" * 120,
            "k" * 129,
        ),
    ]
)
TEXT = st.one_of(st.text(max_size=12), ODD, WORDS)
SCALARS = st.one_of(TEXT, st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False))
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)


@settings(max_examples=500, deadline=None)
@given(st.dictionaries(TEXT, VALUES, min_size=1, max_size=5))
def test_text_is_the_dumpers(value: dict[str, Any]) -> None:
    assert block_text(value) == dumped(whole_numbers(value))


@pytest.mark.parametrize(
    "value",
    [
        {
            "title": "Don't panic: a guide",
            "year": 1979,
            "price": 2.5,
            "tags": ["a", {"b": []}, [1, "2"]],
            "text": "a\nb",
            "x": "\t🙂",
        }
    ],
)
def test_usual_objects_need_no_dumper(value: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = dumped(value)
    monkeypatch.setattr(module, "dumped", None)
    assert block_text(value) == wanted


def test_it_costs_a_fraction_of_the_dumper() -> None:
    fields = {f"field {number}": f"value {number}, of some length" for number in range(100)}

    def seconds(write: Any) -> float:
        began_s = time.process_time()
        for _ in range(20):
            write(fields)
        return time.process_time() - began_s

    assert min(seconds(block_text) for _ in range(3)) * 5 < min(seconds(dumped) for _ in range(3))
