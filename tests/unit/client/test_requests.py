"""What callers may write, and how it is refused."""

from __future__ import annotations

from typing import Any

import pytest

from rerank.v1 import rerank_service_pb2 as pb
from rerankd_client import BatchDefaults, Document, RerankOptions
from rerankd_client.documents import decode_document, encode_document
from rerankd_client.enums import (
    CacheControl,
    ModelStatus,
    ScoreNormalization,
    ScoreSpace,
    Scoring,
    Truncation,
    enum_of_number,
)
from rerankd_client.requests import encode_batch_item, encode_batch_options, encode_request


def test_options_are_those_of_the_contract() -> None:
    names = set(pb.RerankRequest.DESCRIPTOR.fields_by_name) - {"query", "documents"}

    assert set(RerankOptions.__annotations__) == names


@pytest.mark.parametrize("kind", [CacheControl, ModelStatus, ScoreNormalization, Scoring, ScoreSpace, Truncation])
def test_enums_are_those_of_the_contract(kind: Any) -> None:
    values = pb.DESCRIPTOR.enum_types_by_name[kind.__name__].values

    assert [enum_of_number(kind, value.number) for value in values] == list(kind)
    assert enum_of_number(kind, 99) is kind.UNSPECIFIED


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("a", Document(text="a")),
        (Document(text="a", id="1"), Document(text="a", id="1")),
        ({"text": "a", "prior_score": 2}, Document(text="a", prior_score=2.0)),
        ({"title": "a", "body": "b"}, Document(fields={"title": "a", "body": "b"})),
        ({"title": "a", "text": "b", "id": "1"}, Document("b", "1", fields={"title": "a", "text": "b", "id": "1"})),
        ({"content": "a", "id": 7.0}, Document("a", fields={"content": "a", "id": 7.0})),
        ({"image": "https://host/1.png"}, Document(image="https://host/1.png")),
        ({}, Document()),
    ],
)
def test_forms_of_a_document(document: Any, expected: Document) -> None:
    assert decode_document(encode_document(document, is_structured=False)) == expected


def test_a_mapping_is_content_where_fields_are_ranked() -> None:
    request = encode_request("q", [{"title": "a", "text": "b"}, {"text": "c"}], {"rank_fields": ["title"]})

    assert decode_document(request.documents[0]) == Document(fields={"title": "a", "text": "b"})
    assert decode_document(request.documents[1]) == Document(text="c")


@pytest.mark.parametrize(
    ("documents", "options", "error", "message"),
    [
        ("one", {}, TypeError, "not one str"),
        ([1], {}, TypeError, "not int"),
        ([{"text": 1, "title": "b"}], {}, TypeError, "text must be a str, not int"),
        ([{"fields": {"a": object()}}], {}, ValueError, "."),
        (["a"], {"topn": 1}, TypeError, "did you mean 'top_n'"),
        (["a"], {"top_n": "x"}, TypeError, "top_n must be an int, not str"),
        (["a"], {"top_n": 2**40}, ValueError, "top_n: "),
        (["a"], {"score_threshold": "x"}, TypeError, "score_threshold must be a number, not str"),
        (["a"], {"return_documents": "x"}, TypeError, "return_documents must be a bool, not str"),
        (["a"], {"user": 3}, TypeError, "user must be a str, not int"),
        (["a"], {"provider_options": 3}, TypeError, "provider_options must be a mapping, not int"),
        (["a"], {"rank_fields": 3}, TypeError, "rank_fields must be a list of names, not one int"),
        (["a"], {"fallbacks": ["a", 3]}, TypeError, r"fallbacks\[1\] must be a str, not int"),
        (["a"], {"truncation": "middle"}, ValueError, "known are .*'end'"),
        (["a"], {"fallbacks": "local/bm25"}, TypeError, "list of names"),
    ],
)
def test_what_cannot_be_sent_is_refused(
    documents: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        encode_request("q", documents, options)


def test_a_query_that_is_no_text_is_named() -> None:
    with pytest.raises(TypeError, match="query must be a str, not int"):
        encode_request(3, ["a"], {})  # type: ignore[arg-type]  # wrong on purpose


def test_batch_messages() -> None:
    defaults: BatchDefaults = {"query": "q", "top_n": 2}
    opening = encode_batch_options(defaults, ordered=True, max_concurrency=3).options
    item = encode_batch_item({"item_id": "a", "documents": ["d"], "model": "m"}).item

    assert (opening.defaults.query, opening.defaults.top_n, opening.ordered, opening.max_concurrency) == (
        "q",
        2,
        True,
        3,
    )
    assert not encode_batch_options(None, ordered=False, max_concurrency=None).options.HasField("max_concurrency")
    assert (item.item_id, item.request.model, item.request.query) == ("a", "m", "")
