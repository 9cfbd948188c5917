"""Keys name everything a score depends on, and nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from rerankd.cache.keys import Naming, ScoreScope

SCOPE = ScoreScope("cohere", "rerank-v3.5", "a query", revision="r1", parameters={"max_tokens": 512})
CONTENTS = st.text(max_size=4) | st.binary(max_size=4)
VALUES = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, 1.0]) | st.sampled_from("abc")
SCOPES = st.builds(
    ScoreScope,
    provider=st.text("abc", max_size=3),
    model=st.text("abc", max_size=3),
    query=st.text("abc", max_size=3) | st.sampled_from([b"", b"a", b"ab"]),
    revision=st.text("abc", max_size=3),
    parameters=st.dictionaries(st.text("abc", max_size=2), VALUES, max_size=2),
)


def identity(scope: ScoreScope, document: str | bytes) -> object:
    parameters = sorted((name, type(value).__name__, value) for name, value in scope.parameters.items())
    query = (type(scope.query).__name__, scope.query)
    return scope.provider, scope.model, scope.revision, query, parameters, type(document).__name__, document


@given(SCOPES, CONTENTS, SCOPES, CONTENTS)
def test_equal_keys_mean_equal_inputs(one: ScoreScope, a: str | bytes, other: ScoreScope, b: str | bytes) -> None:
    is_same = identity(one, a) == identity(other, b)
    assert (Naming(one).keys([a]) == Naming(other).keys([b])) == is_same


@pytest.mark.parametrize(
    "change",
    [
        {"provider": "coherer", "model": "erank-v3.5"},
        {"provider": "coher", "model": "ererank-v3.5"},
        {"model": "rerank-v3.5r1", "revision": ""},
        {"query": "a query "},
        {"query": b"a query"},
        {"revision": "r2"},
        {"parameters": {}},
        {"parameters": {"max_tokens": 513}},
        {"parameters": {"max_tokens": 512, "instruction": ""}},
        {"parameters": {"max_tokens": "512"}},
    ],
)
def test_every_part_of_the_scope_counts(change: dict[str, Any]) -> None:
    assert Naming(structs.replace(SCOPE, **change)).keys(["d"]) != Naming(SCOPE).keys(["d"])


def test_a_boundary_between_query_and_document_cannot_move() -> None:
    (one,) = Naming(structs.replace(SCOPE, query="a")).keys(["bc"])
    (other,) = Naming(structs.replace(SCOPE, query="ab")).keys(["c"])
    assert one != other


def test_the_order_of_parameters_does_not_count() -> None:
    one = structs.replace(SCOPE, parameters={"a": 1, "b": {"c": 2, "d": 3}})
    other = structs.replace(SCOPE, parameters={"b": {"d": 3, "c": 2}, "a": 1})
    assert Naming(one).keys(["d"]) == Naming(other).keys(["d"])


def test_keys_are_the_same_in_every_process_and_release() -> None:
    expected = "1692ce9699fdcfe2654c5d750b2f55ce"
    assert [key.hex() for key in Naming(SCOPE).keys(["a document"])] == [expected]


def test_text_that_is_not_valid_unicode_has_a_key() -> None:
    keys = Naming(structs.replace(SCOPE, query="\ud800")).keys(["\udfff", "", b""])
    assert len(set(keys)) == 3
    assert {len(key) for key in keys} == {16}


async def test_keys_of_large_documents_are_made_in_slices() -> None:
    documents: list[str | bytes] = [*(bytes([number]) * 200_000 for number in range(20)), "a text", b"a text"]
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    assert await Naming(SCOPE).keys_in_slices(documents) == Naming(SCOPE).keys(documents)
    beside.cancel()
    assert turns >= 6
