"""Objects as block YAML: the text of PyYAML's dumper, to the letter."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rerankd.engine import block_text as module
from rerankd.engine.time_slice import TimeSlice
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
            "k" * 128,
            "k" * 129,
            "é" * 64,
            "é" * 65,
            "'" * 128,
            "'" * 129,
        ),
    ]
)
TEXT = st.one_of(st.text(max_size=12), ODD, WORDS)
SCALARS = st.one_of(TEXT, st.integers(), st.booleans(), st.none(), st.floats())
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)


def dumped(value: Any) -> str:
    text = yaml.dump(value, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=2**31 - 1)
    return str(text).removesuffix("...\n").rstrip("\n")


def block_text(value: dict[str, Any]) -> str:
    return asyncio.run(module.block_text(value, TimeSlice()))


def value_text(value: Any) -> str:
    return asyncio.run(module.value_text(value, TimeSlice()))


@settings(max_examples=500)
@given(st.dictionaries(TEXT, VALUES, min_size=1, max_size=5))
def test_text_is_the_dumpers(value: dict[str, Any]) -> None:
    assert block_text(value) == dumped(whole_numbers(value))


PLAIN = st.one_of(
    st.text("aZ9 .,;/()'_+-\n", max_size=6), st.sampled_from(["a word", "yes", "NO", "nulL", "y", "off", "x"])
)


@settings(max_examples=500)
@given(st.dictionaries(TEXT, PLAIN, min_size=1, max_size=3), st.dictionaries(TEXT, SCALARS, max_size=2))
def test_plain_texts_are_the_dumpers(texts: dict[str, str], others: dict[str, Any]) -> None:
    for value in (texts, {**texts, **others}):
        assert block_text(value) == dumped(whole_numbers(value))


def test_every_word_that_is_none_the_less_quoted() -> None:
    words = [*module._AMBIGUOUS_WORDS, "y", "n", "t", "f", "nil", "None", "tRue", "word"]
    for word in words:
        assert block_text({"a": word, "b": "text"}) == dumped({"a": word, "b": "text"})


@settings(max_examples=300)
@given(VALUES.filter(lambda value: not isinstance(value, str)))
def test_a_value_alone_is_the_dumpers(value: Any) -> None:
    assert value_text(value) == dumped(whole_numbers(value))


LONG = "k\n" * 80


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
        },
        {
            LONG: {LONG: {LONG: 1}},
            "a": [{LONG: [1, {"r": {LONG: []}}], "s": 1}, [[{LONG: "z\nz"}]]],
            LONG * 2: [[1], {}],
        },
        {"a\u2028b": "\u2028 x", "a\x85b": {}, "a\rb": None, "\u2028": [{"\u2029": "\u2029"}], " \n": True, "a": 1},
    ],
)
def test_objects_of_every_form(value: dict[str, Any]) -> None:
    assert block_text(value) == dumped(value)


def test_it_costs_a_fraction_of_the_dumper() -> None:
    fields = {f"field {number}": f"value {number}, of some length" for number in range(100)}

    async def write() -> None:
        for _ in range(20):
            await module.block_text(fields, TimeSlice())

    def seconds(work: Callable[[], object]) -> float:
        began_s = time.process_time()
        work()
        return time.process_time() - began_s

    written_s = min(seconds(lambda: asyncio.run(write())) for _ in range(3))
    assert written_s * 5 < min(seconds(lambda: [dumped(fields) for _ in range(20)]) for _ in range(3))
