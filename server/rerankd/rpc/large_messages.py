"""Decodes large gRPC messages in turn: cut into their documents on the wire, which are decoded a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from google.protobuf.message import Message

from rerank.v1 import rerank_service_pb2 as pb
from rerank.v1 import reranker_service_pb2 as reranker_pb
from rerankd.contract.errors import Reason, ServiceError
from rerankd.engine.byte_budget import ByteBudget
from rerankd.rpc import convert, reranker_convert
from rerankd.rpc.document_columns import are_text_objects, documents_by_columns
from rerankd.rpc.wire import cut_documents

LARGE_BYTES: Final = 512 * 1024
"""Decoding what is shorter takes some 30 ms at most; of 10,000 short documents too."""
_BYTES_A_LINE_FEED: Final = 16
"""Texts have fewer line feeds than one in so many bytes."""


class _Location(NamedTuple):
    """Where the messages of a type have their documents."""

    path: tuple[str, ...]
    """Fields that lead to the message that has `documents`."""
    holder: type[Message]
    """Type of that message."""
    convert: Callable[[Any], Any]
    """Makes the contract's type of it."""


_LOCATIONS: Final[Mapping[type[Message], _Location]] = {
    pb.RerankRequest: _Location((), pb.RerankRequest, convert.rerank_request_from_proto),
    pb.BatchRerankRequest: _Location(("item", "request"), pb.RerankRequest, convert.rerank_request_from_proto),
    pb.WarmDocumentsRequest: _Location((), pb.WarmDocumentsRequest, convert.warm_documents_request_from_proto),
    reranker_pb.RunRerankerRequest: _Location(
        (), reranker_pb.RunRerankerRequest, reranker_convert.run_reranker_request_from_proto
    ),
}
"""Types of messages that can be large."""


class LargeMessages:
    """Turns of the large messages of one server. For one event loop.

    protobuf holds the interpreter while it decodes: 24 MB of objects take 200 ms.

    Args:
        budget: Counts their bytes.
        max_documents: Returns the most documents of a call.
        max_values: Most values of objects in a message.
    """

    def __init__(self, budget: ByteBudget, max_documents: Callable[[], int], max_values: int) -> None:
        self.budget = budget
        self._max_values = max_values
        self._max_documents = max_documents
        self._turn = asyncio.Lock()

    async def decode(self, data: bytes, message_type: type[Message], convert_whole: Callable[[Any], Any]) -> Any:
        """Decode a message of one of the types of `takes`.

        Raises:
            ServiceError: `TOO_MANY_DOCUMENTS`, or `INVALID_REQUEST` for too many values; as `convert_whole`.
            DecodeError: It is not valid.
        """
        location = _LOCATIONS[message_type]
        async with self._turn:
            rest, runs = await cut_documents(data, _numbers(message_type, location), self._max_documents())
            line_feeds = self._count_values(rest, len(data), 0)
            decoded = convert_whole(message_type.FromString(rest))
            documents: list[Any] = []
            by_columns = False
            for start, end in runs:
                await asyncio.sleep(0)
                run = data[start:end]
                line_feeds = self._count_values(run, len(data), line_feeds)
                read = documents_by_columns(run) if by_columns else None
                if read is None:
                    read = location.convert(location.holder.FromString(run)).documents
                    by_columns = location.holder is pb.RerankRequest and are_text_objects(read)
                documents += read
        owner = decoded
        for name in location.path:
            owner = owner and getattr(owner, name)
        if owner:
            owner.documents = documents
        return decoded

    def _count_values(self, part: bytes, size: int, line_feeds: int) -> int:
        """Count the line feeds of another part of a message; refuse one with too many values.

        Every value of a list has a line feed, every field of an object two.

        Args:
            part: Is about to be decoded.
            size: Of the whole message.
            line_feeds: Of the parts before it.
        """
        line_feeds += part.count(b"\n")
        if line_feeds > 2 * self._max_values and line_feeds * _BYTES_A_LINE_FEED > size:
            raise _too_many_values(self._max_values)
        return line_feeds


def takes(message_type: type[Message]) -> bool:
    """Whether large messages of a type are decoded in turn."""
    return message_type in _LOCATIONS


def _numbers(message_type: type[Message], location: _Location) -> tuple[int, ...]:
    """Return the numbers of the fields that lead to the documents, and their own."""
    descriptor: Any = message_type.DESCRIPTOR
    numbers = []
    for name in (*location.path, "documents"):
        field = descriptor.fields_by_name[name]
        numbers.append(field.number)
        descriptor = field.message_type
    return tuple(numbers)


def _too_many_values(most: int) -> ServiceError:
    return ServiceError(
        Reason.INVALID_REQUEST,
        f"the message has more than {most} values; send fewer or smaller objects",
        metadata={"max_values": str(most)},
    )
