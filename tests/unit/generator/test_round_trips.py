"""Contract types survive protobuf and JSON unchanged."""

from __future__ import annotations

from datetime import UTC
from enum import StrEnum
from types import ModuleType
from typing import Any, get_args, get_origin

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rerank.v1 import rerank_service_pb2 as pb
from rerankd.contract import access_messages, messages
from rerankd.contract.errors import ServiceError
from rerankd.contract.value_types import Timestamp
from rerankd.rpc import access_convert, convert
from rerankd.rpc.convert_values import struct_from_proto, struct_to_proto

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
DETAILS = st.sampled_from(
    [
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMITED", "domain": "rerankd"},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.500s"},
        {
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": "top_n", "description": "must be at least 1"}],
        },
    ]
)
SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXTS,
    bool: st.booleans(),
    float: st.floats(allow_nan=False, allow_infinity=False),
    type(None): st.none(),
    messages.Int32: st.integers(-(2**31), 2**31 - 1),
    messages.Int64: st.integers(-(2**63), 2**63 - 1),
    Timestamp: st.datetimes(timezones=st.just(UTC)),
    messages.Document: st.deferred(lambda: strategy_of(messages.Document, id=TEXTS.filter(bool))),
    messages.Status: st.builds(
        messages.Status,
        code=st.integers(0, 16),
        message=TEXTS,
        details=st.lists(DETAILS, max_size=2),
    ),
}
MESSAGES = [
    (value, converters)
    for module, converters in ((messages, convert), (access_messages, access_convert))
    for value in vars(module).values()
    if isinstance(value, type) and issubclass(value, msgspec.Struct) and value.__module__ == module.__name__
]


def values_of(annotation: Any) -> st.SearchStrategy[Any]:
    if annotation in SCALARS:
        return SCALARS[annotation]
    if get_origin(annotation) is list:
        return st.lists(values_of(get_args(annotation)[0]), max_size=3)
    if get_origin(annotation) is dict:
        return st.dictionaries(TEXTS, VALUES, max_size=3)
    if get_args(annotation):
        return st.one_of([values_of(inner) for inner in get_args(annotation)])
    if issubclass(annotation, StrEnum):
        return st.sampled_from(list(annotation))
    return strategy_of(annotation)


def strategy_of(message_type: Any, **given_fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    fields = {member.name: values_of(member.type) for member in msgspec.structs.fields(message_type)}
    fields.update(given_fields)
    if hasattr(message_type, "which_message"):
        members = [st.builds(message_type, **{name: values.filter(bool)}) for name, values in fields.items()]
        return st.one_of(members)
    return st.builds(message_type, **fields)


def snake_name(message_type: type[Any]) -> str:
    name = message_type.__name__
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name).lstrip("_")


@pytest.mark.parametrize(("message_type", "converters"), MESSAGES)
@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_round_trips(message_type: Any, converters: ModuleType, data: st.DataObject) -> None:
    message = data.draw(values_of(message_type))
    name = snake_name(message_type)

    proto = getattr(converters, f"{name}_to_proto")(message)
    wire = type(proto).FromString(proto.SerializeToString())
    encoded = msgspec.json.encode(message)
    decoded = msgspec.json.decode(encoded, type=message_type)

    assert getattr(converters, f"{name}_from_proto")(wire) == message
    assert decoded == message
    assert msgspec.json.encode(decoded) == encoded


def test_document_with_only_a_text_becomes_a_string() -> None:
    request = pb.RerankRequest(documents=[pb.Document(text="a"), pb.Document(text="b", id="1")])

    assert convert.rerank_request_from_proto(request).documents == ["a", messages.Document(text="b", id="1")]


def test_whole_numbers_come_back_as_int() -> None:
    value = struct_from_proto(struct_to_proto({"a": 3, "b": 2.5, "c": 1e300, "d": [None, True]}))

    assert value == {"a": 3, "b": 2.5, "c": 1e300, "d": [None, True]}
    assert type(value["a"]) is int
    assert type(value["c"]) is float


def test_unknown_enum_number_names_the_field() -> None:
    request = pb.RerankRequest()
    request.truncation = 9  # type: ignore[assignment]  # wrong on purpose

    with pytest.raises(ServiceError) as caught:
        convert.rerank_request_from_proto(request)
    assert [violation.field for violation in caught.value.violations] == ["truncation"]


def test_empty_messages_stay_present() -> None:
    response = convert.rerank_response_to_proto(messages.RerankResponse(usage=messages.Usage()))

    assert response.HasField("usage")
    assert not response.HasField("meta")


def test_which_names_the_one_member() -> None:
    item = messages.BatchItem()

    assert messages.BatchRerankRequest(item=item).which_message() == "item"
    assert messages.BatchRerankRequest().which_message() is None
    assert messages.BatchRerankRequest(item=item, options=messages.BatchOptions()).which_message() is None


def test_unset_is_left_out_and_zero_is_printed() -> None:
    result = messages.RerankResult(index=0, relevance_score=0.0, document=messages.Document(text=""))

    assert msgspec.json.encode(result) == b'{"index":0,"relevance_score":0.0,"document":{"text":""}}'
    assert b'"results":[]' in msgspec.json.encode(messages.RerankResponse())
    assert b"usage" not in msgspec.json.encode(messages.RerankResponse())
