"""Documents decoded by columns are those that the generated converters make, or none at all."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import struct_pb2
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from rerank.v1 import rerank_service_pb2 as pb
from rerankd.rpc import convert
from rerankd.rpc.document_columns import are_text_objects, documents_by_columns

texts = st.dictionaries(st.text(max_size=5), st.text(max_size=200), max_size=5)
values = st.dictionaries(
    st.text(max_size=3),
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=3) | st.lists(st.text(max_size=3)),
    max_size=3,
)


def struct_of(fields: dict[str, Any]) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct.update(fields)
    return struct


def requests_of(objects: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[pb.RerankRequest]:
    document = st.builds(
        pb.Document,
        text=st.text(max_size=3),
        id=st.text(max_size=2),
        fields=st.none() | objects.map(struct_of),
        prior_score=st.none() | st.floats(allow_nan=False),
        metadata=st.none() | objects.map(struct_of),
        image=st.sampled_from(["", "https://a/b.png"]),
    )
    return st.builds(pb.RerankRequest, documents=st.lists(document, max_size=4))


def in_order(documents: Any) -> list[Any]:
    return [[*(getattr(document, "fields", None) or ())] for document in documents]


@given(requests_of(texts))
def test_objects_of_texts(request: pb.RerankRequest) -> None:
    data = request.SerializeToString()
    expected = convert.rerank_request_from_proto(pb.RerankRequest.FromString(data)).documents
    found = documents_by_columns(data)
    assert found == expected
    assert in_order(found) == in_order(expected)


@given(requests_of(values))
def test_objects_of_other_values_are_left_to_the_converters(request: pb.RerankRequest) -> None:
    found = documents_by_columns(request.SerializeToString())
    assert found in (None, convert.rerank_request_from_proto(request).documents)


@given(st.binary(max_size=40).map(lambda data: b"\x1a%c" % len(data) + data))
def test_any_bytes(data: bytes) -> None:
    try:
        found = documents_by_columns(data)
    except DecodeError:
        return
    assert found is None or len(found) == 1


@pytest.mark.parametrize("name", ["name", "n" * 300])
@pytest.mark.parametrize("text", ["", "text", "t" * 300, "\x1a\n"])
def test_any_length(name: str, text: str) -> None:
    document = pb.Document(fields=struct_of({name: text, "a": "b"}))
    found = documents_by_columns(pb.RerankRequest(documents=[document, document]).SerializeToString())
    assert found == [convert.document_from_proto(document)] * 2


def test_names_come_in_their_order() -> None:
    names = [f"name {number}" for number in range(50)]
    request = pb.RerankRequest(documents=[pb.Document(fields=struct_of(dict.fromkeys(names, "text")))])
    large, small = documents_by_columns(request.SerializeToString()), convert.rerank_request_from_proto(request)
    assert in_order(large) == in_order(small.documents) == [sorted(names)]


def test_text_that_is_not_utf_8() -> None:
    data = pb.RerankRequest(documents=[pb.Document(fields=struct_of({"a": "bcd"}))]).SerializeToString()
    with pytest.raises(DecodeError):
        documents_by_columns(data.replace(b"bcd", b"b\xffd"))


@pytest.mark.parametrize(
    ("fields", "are_texts"), [({"a": "b"}, True), ({"a": "b", "n": 1}, False), ({"a": None}, False), ({}, False)]
)
def test_what_is_an_object_of_texts(fields: dict[str, Any], are_texts: bool) -> None:
    document = convert.document_from_proto(pb.Document(fields=struct_of(fields)))
    assert are_text_objects([document]) is are_texts
    assert are_text_objects([document, "text"]) is False
