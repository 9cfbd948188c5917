"""Messages read on the wire: what is cut apart is the same together, of any bytes."""

from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from rerank.v1 import rerank_service_pb2 as pb
from rerankd.contract.errors import Reason, ServiceError
from rerankd.rpc.wire import count_fields, cut_documents

DOCUMENTS = pb.RerankRequest.DESCRIPTOR.fields_by_name["documents"].number
IN_ITEM = (
    pb.BatchRerankRequest.DESCRIPTOR.fields_by_name["item"].number,
    pb.BatchItem.DESCRIPTOR.fields_by_name["request"].number,
    DOCUMENTS,
)
parts = st.builds(
    pb.RerankRequest,
    query=st.text(max_size=5),
    top_n=st.integers(1, 2**31 - 1) | st.none(),
    score_threshold=st.floats(allow_nan=False) | st.none(),
    documents=st.lists(st.builds(pb.Document, text=st.text(max_size=300)), max_size=3),
)


async def together(data: bytes, path: tuple[int, ...], holder: str = "") -> pb.RerankRequest:
    """Cut a message and put it together again; `holder` is what has the documents."""
    rest, runs = await cut_documents(data, path, 1000)
    request = (
        pb.BatchRerankRequest.FromString(rest).item.request if holder == "item" else pb.RerankRequest.FromString(rest)
    )
    assert len(request.documents) == 0
    for start, end in runs:
        request.MergeFromString(data[start:end])
    return request


@given(st.lists(parts, max_size=4))
async def test_cut_message_is_the_same_together(requests: list[pb.RerankRequest]) -> None:
    data = b"".join(request.SerializeToString() for request in requests)
    assert await together(data, (DOCUMENTS,)) == pb.RerankRequest.FromString(data)


@given(st.lists(st.builds(pb.BatchItem, item_id=st.text(max_size=3), request=parts), max_size=4))
async def test_cut_message_within_others_is_the_same_together(items: list[pb.BatchItem]) -> None:
    data = b"".join(pb.BatchRerankRequest(item=item).SerializeToString() for item in items)
    assert await together(data, IN_ITEM, "item") == pb.BatchRerankRequest.FromString(data).item.request


@given(st.binary(max_size=60) | st.binary(max_size=20).map(b"\x1a\x04\x0a\x02ab".__add__))
async def test_cutting_takes_any_bytes(data: bytes) -> None:
    try:
        found = await together(data, (DOCUMENTS,))
    except DecodeError:
        return
    assert found.SerializeToString() == pb.RerankRequest.FromString(data).SerializeToString()


@pytest.mark.parametrize(
    "data",
    [b"\x1a", b"\x1a\xff", b"\x1a\x05ab", b"\x09ab", b"\x1a\x02\x0a\x01", b"\x0b\x0c"],
    ids=["no length", "half a length", "too short", "half a double", "document cut off", "group"],
)
async def test_message_that_is_not_valid(data: bytes) -> None:
    with pytest.raises(DecodeError):
        await together(data, (DOCUMENTS,))


async def test_runs_are_bounded() -> None:
    size = len(pb.RerankRequest(documents=[pb.Document(text="t" * 1000)]).SerializeToString())
    long = pb.RerankRequest(documents=[pb.Document(text="t" * 1000)] * 500).SerializeToString()
    short = pb.RerankRequest(documents=[pb.Document(text="t")] * 2500).SerializeToString()
    huge = pb.RerankRequest(documents=[pb.Document(text="t" * 100_000)] * 2).SerializeToString()
    sizes = [end - start for start, end in (await cut_documents(long, (DOCUMENTS,), 1000)).runs]
    assert sum(sizes) == len(long)
    assert max(sizes) <= 64 * 1024 < max(sizes) + size
    assert len((await cut_documents(short, (DOCUMENTS,), 2500)).runs) == 3
    assert len((await cut_documents(huge, (DOCUMENTS,), 2)).runs) == 2


async def test_documents_are_counted() -> None:
    data = pb.RerankRequest(documents=[pb.Document(text="t")] * 11).SerializeToString()
    assert (await cut_documents(data, (DOCUMENTS,), 11)).rest == b""
    with pytest.raises(ServiceError) as caught:
        await cut_documents(data, (DOCUMENTS,), 10)
    assert caught.value.reason is Reason.TOO_MANY_DOCUMENTS


@given(st.binary(max_size=60))
def test_counting_takes_any_bytes(data: bytes) -> None:
    count = count_fields(data, (DOCUMENTS,), 1000)
    try:
        assert count == len(pb.RerankRequest.FromString(data).documents)
    except DecodeError:
        assert count >= 0
