"""What is counted of a JSON text, beside what a parser makes of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerankd.gateway import json_shape
from rerankd.gateway.json_shape import JsonShape

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text('a"\\,[]{}:é\n'),
    lambda inner: st.lists(inner) | st.dictionaries(st.text('b"\\,{'), inner),
    max_leaves=30,
)


def _commas(value: Any) -> int:
    return max(len(value) - 1, 0) if isinstance(value, list | dict) else 0


def _inner(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []


def _values(value: Any) -> int:
    is_container = isinstance(value, list | dict)
    return int(is_container) + _commas(value) + sum(_values(each) for each in _inner(value))


@given(body=st.dictionaries(st.text('k"\\,'), VALUES), size=st.integers(1, 40), is_ascii=st.booleans())
def test_counts_are_those_of_a_parser(body: dict[str, Any], size: int, is_ascii: bool) -> None:
    text = json.dumps(body, ensure_ascii=is_ascii).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_shape, "_SLICE_BYTES", size)
        shape = JsonShape()
        list(shape.read(text))
        items = JsonShape(list_depth=3)
        list(items.read(text))

    assert shape.top_keys == _commas(body)
    assert shape.largest == max(map(_commas, body.values()), default=0)
    assert items.largest == max((_commas(each) for value in body.values() for each in _inner(value)), default=0)
    assert shape.values == _values(body)


def test_backslashes_alone_take_no_more_than_their_length() -> None:
    shape = JsonShape()
    slices = list(shape.read(b'{"a":"' + b"\\" * 1_000_000 + b'"}'))
    assert len(slices) < 40
    assert shape.values == 1
