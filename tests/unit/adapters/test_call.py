"""Picking documents out of a call."""

from __future__ import annotations

import pytest
from msgspec import structs

from rerankd_adapters.base import ProviderCall

CALL = ProviderCall(
    model="m",
    query="q",
    documents=["a", "b", "c", "d"],
    objects=[None, {"t": "b"}, None, {"t": "d"}],
    rank_fields=["t", "u", "v", "w"],
    images=[None, None, "https://h/1", None],
    prior_scores=[0.1, 0.2, 0.3, 0.4],
    top_n=2,
)
SHARED = {"model", "query", "rank_fields", "options"}
"""Fields that have no entry for each document, although they have a length."""


@pytest.mark.parametrize("positions", [range(4), range(1, 3), [3, 1], [2], range(0, 4, 2), range(3, -1, -1)])
def test_everything_of_a_document_goes_with_it(positions: list[int]) -> None:
    taken = CALL.take(positions)
    for place, position in enumerate(positions):
        assert taken.documents[place] == CALL.documents[position]
        assert taken.objects is None or taken.objects[place] == (CALL.objects or ())[position]
        assert taken.images is None or taken.images[place] == (CALL.images or ())[position]
        assert (taken.prior_scores or ())[place] == (CALL.prior_scores or ())[position]
    assert {len(each) for each in (taken.documents, taken.prior_scores or ())} == {len(positions)}
    assert (taken.top_n, taken.rank_fields) == (2, CALL.rank_fields)


def test_what_none_of_the_picked_documents_has_is_gone() -> None:
    taken = CALL.take([0])
    assert (taken.objects, taken.images) == (None, None)
    assert CALL.take([0, 1]).objects == [None, {"t": "b"}]


def test_no_field_with_an_entry_a_document_is_forgotten() -> None:
    full = structs.replace(CALL, options={"a": 1})
    sized = {
        each.name for each in structs.fields(ProviderCall) if hasattr(getattr(full, each.name), "__len__")
    } - SHARED
    picked = full.take([1, 3])
    unpicked = {name for name in sized if (value := getattr(picked, name)) is not None and len(value) == 4}
    assert unpicked == set()
