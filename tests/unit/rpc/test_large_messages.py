"""Large messages: documents counted on the wire, decoded to the same as small ones, within the budget."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from google.protobuf.message import DecodeError, Message
from hypothesis import given
from hypothesis import strategies as st

from rerank.v1 import rerank_service_pb2 as pb
from rerankd.contract import messages
from rerankd.contract.errors import Reason, ServiceError
from rerankd.engine.byte_budget import ByteBudget
from rerankd.rpc import convert
from rerankd.rpc.codec import Undecodable, Undecoded, accept_stream, decoder
from rerankd.rpc.large_messages import LARGE_BYTES, LargeMessages, count_fields, takes

DOCUMENTS = pb.RerankRequest.DESCRIPTOR.fields_by_name["documents"].number


def request_of(count: int) -> pb.RerankRequest:
    request = pb.RerankRequest(model="m", query="q" * LARGE_BYTES, top_n=3, score_threshold=0.5)
    for number in range(count):
        document = request.documents.add(text=f"text {number}")
        if number % 2:
            document.fields.update({"n": number, "list": ["a", {"b": None}]})
    return request


def batch_of(count: int) -> pb.BatchRerankRequest:
    return pb.BatchRerankRequest(item=pb.BatchItem(item_id="i", request=request_of(count)))


@pytest.mark.parametrize("count", [0, 1, 50])
@pytest.mark.parametrize("is_batch", [False, True])
async def test_large_message_is_decoded_as_a_small_one(count: int, is_batch: bool) -> None:
    large = LargeMessages(ByteBudget(2**20), lambda: 50, 1000)
    message: Message = batch_of(count) if is_batch else request_of(count)
    to_contract = convert.batch_rerank_request_from_proto if is_batch else convert.rerank_request_from_proto
    found = decoder(type(message), to_contract, large)(message.SerializeToString())  # type: ignore[arg-type]
    assert isinstance(found, Undecoded)
    with found:
        assert large.budget.in_use > 0
        assert await found.read() == to_contract(message)  # type: ignore[arg-type]
    assert large.budget.in_use == 0


async def test_documents_are_counted_on_the_wire() -> None:
    large = LargeMessages(ByteBudget(2**20), lambda: 50, 1000)
    for message in (request_of(51), batch_of(51)):
        with pytest.raises(ServiceError) as caught:
            await large.decode(message.SerializeToString(), type(message), lambda message: message)
        assert (caught.value.reason, caught.value.violations[0].field) == (Reason.TOO_MANY_DOCUMENTS, "documents")


def test_values_of_objects_are_counted_on_the_wire() -> None:
    large = LargeMessages(ByteBudget(2**23), lambda: 50, 1000)
    document = pb.Document()
    document.fields.update({"list": [None] * 200_000})
    objects = pb.RerankRequest(query="q", documents=[document]).SerializeToString()
    lines = pb.RerankRequest(query="q", documents=[pb.Document(text="a line of some text\n" * 50_000)])
    with pytest.raises(ServiceError, match="more than 1000 values"):
        asyncio.run(large.decode(objects, pb.RerankRequest, convert.rerank_request_from_proto))
    decoded = asyncio.run(large.decode(lines.SerializeToString(), pb.RerankRequest, convert.rerank_request_from_proto))
    assert decoded == convert.rerank_request_from_proto(lines)


async def test_message_that_is_not_valid() -> None:
    large = LargeMessages(ByteBudget(2**20), lambda: 50, 1000)
    decode = decoder(pb.RerankRequest, convert.rerank_request_from_proto, large)
    found = decode(b"\x1a\xff" + b"x" * LARGE_BYTES)
    assert isinstance(found, Undecoded)
    with found, pytest.raises(ServiceError, match="not a valid RerankRequest"):
        await found.read()


async def test_stream_gives_its_bytes_back() -> None:
    large = LargeMessages(ByteBudget(2**20), lambda: 50, 1000)
    decode = decoder(pb.BatchRerankRequest, convert.batch_rerank_request_from_proto, large)

    async def sent() -> AsyncIterator[
        Undecoded[messages.BatchRerankRequest] | messages.BatchRerankRequest | Undecodable
    ]:
        for _ in range(20):
            yield decode(batch_of(10).SerializeToString())

    assert len([message async for message in accept_stream(sent())]) == 20
    assert large.budget.in_use == 0


def test_message_beyond_the_budget() -> None:
    large = LargeMessages(ByteBudget(100), lambda: 50, 1000)
    data = pb.RerankRequest(query="q" * (LARGE_BYTES + 200)).SerializeToString()
    found = decoder(pb.RerankRequest, convert.rerank_request_from_proto, large)(data)
    assert isinstance(found, Undecodable)
    assert found.error.reason is Reason.OVERLOADED


@given(st.binary(max_size=60))
def test_counting_takes_any_bytes(data: bytes) -> None:
    count = count_fields(data, (DOCUMENTS,), 1000)
    try:
        assert count == len(pb.RerankRequest.FromString(data).documents)
    except DecodeError:
        assert count >= 0


def test_types_that_are_never_large() -> None:
    assert not takes(pb.GetModelRequest)
