"""Large messages: documents counted on the wire, decoded to the same as small ones, within the budget."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from google.protobuf.message import Message

from rerank.v1 import rerank_service_pb2 as pb
from rerank.v1 import reranker_service_pb2 as reranker_pb
from rerankd.contract import messages
from rerankd.contract.errors import Reason, ServiceError
from rerankd.engine.byte_budget import ByteBudget
from rerankd.rpc import convert, reranker_convert
from rerankd.rpc.codec import Undecodable, Undecoded, accept_stream, decoder
from rerankd.rpc.large_messages import LARGE_BYTES, LargeMessages, takes


def request_of(count: int) -> pb.RerankRequest:
    request = pb.RerankRequest(model="m", query="q" * LARGE_BYTES, top_n=3, score_threshold=0.5)
    for number in range(count):
        document = request.documents.add(text=f"text {number}")
        if number % 2:
            document.fields.update({"n": number, "list": ["a", {"b": None}]})
    return request


def batch_of(count: int) -> pb.BatchRerankRequest:
    return pb.BatchRerankRequest(item=pb.BatchItem(item_id="i", request=request_of(count)))


def warming_of(count: int) -> pb.WarmDocumentsRequest:
    return pb.WarmDocumentsRequest(model="m" * LARGE_BYTES, documents=request_of(count).documents)


def run_of(count: int) -> reranker_pb.RunRerankerRequest:
    documents = [reranker_pb.RunDocument(content=f"text {number}", score=number) for number in range(count)]
    return reranker_pb.RunRerankerRequest(key="k", query="q" * LARGE_BYTES, documents=documents)


@pytest.mark.parametrize("count", [0, 1, 50])
@pytest.mark.parametrize(
    ("build", "to_contract"),
    [
        (request_of, convert.rerank_request_from_proto),
        (batch_of, convert.batch_rerank_request_from_proto),
        (warming_of, convert.warm_documents_request_from_proto),
        (run_of, reranker_convert.run_reranker_request_from_proto),
    ],
)
async def test_large_message_is_decoded_as_a_small_one(
    count: int, build: Callable[[int], Message], to_contract: Callable[[Any], Any]
) -> None:
    large = LargeMessages(ByteBudget(2**20), lambda: 50, 1000)
    message = build(count)
    found = decoder(type(message), to_contract, large)(message.SerializeToString())
    assert isinstance(found, Undecoded)
    with found:
        assert large.budget.in_use > 0
        assert await found.read() == to_contract(message)
    assert large.budget.in_use == 0


async def test_other_calls_have_their_turn_between_few_documents() -> None:
    large = LargeMessages(ByteBudget(2**23), lambda: 10_000, 10_000)
    message = pb.RerankRequest(query="q", documents=[pb.Document(text="t" * 1000)] * 2000).SerializeToString()
    decoding = asyncio.create_task(large.decode(message, pb.RerankRequest, convert.rerank_request_from_proto))
    turns = 0
    while not decoding.done():
        await asyncio.sleep(0)
        turns += 1
    assert len(decoding.result().documents) == 2000
    assert turns >= 2000 * 1000 // (64 * 1024)


async def test_item_that_options_replace() -> None:
    large = LargeMessages(ByteBudget(2**20), lambda: 50, 1000)
    options = pb.BatchRerankRequest(options=pb.BatchOptions(ordered=True))
    data = batch_of(3).SerializeToString() + options.SerializeToString()
    decoded = await large.decode(data, pb.BatchRerankRequest, convert.batch_rerank_request_from_proto)
    assert decoded == convert.batch_rerank_request_from_proto(options)


def objects_of(count: int, **last: Any) -> pb.RerankRequest:
    request = pb.RerankRequest(model="m", query="q", top_n=3)
    for number in range(count):
        document = request.documents.add(id=f"id {number}")
        document.fields.update({f"name {key}": f"text {number} {key} {'t' * 300}" for key in range(100)})
    request.documents[-1].fields.update(last)
    return request


@pytest.mark.parametrize("last", [{}, {"number": 1, "list": [None]}])
@pytest.mark.parametrize("is_batch", [False, True])
async def test_objects_of_texts_are_decoded_as_small_ones(last: dict[str, Any], is_batch: bool) -> None:
    large = LargeMessages(ByteBudget(2**23), lambda: 50, 10_000)
    request = objects_of(50, **last)
    message: Message = pb.BatchRerankRequest(item=pb.BatchItem(request=request)) if is_batch else request
    to_contract = convert.batch_rerank_request_from_proto if is_batch else convert.rerank_request_from_proto
    decoded = await large.decode(message.SerializeToString(), type(message), to_contract)
    assert decoded == to_contract(message)  # type: ignore[arg-type]  # the converter fits the message


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


def test_types_that_are_never_large() -> None:
    assert not takes(pb.GetModelRequest)
