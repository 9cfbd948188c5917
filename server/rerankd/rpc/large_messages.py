"""Decodes large gRPC messages in turn: documents counted on the wire, then converted a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final

from google.protobuf.message import Message

from rerank.v1 import rerank_service_pb2 as pb
from rerankd.contract.errors import FieldViolation, Reason, ServiceError
from rerankd.engine.byte_budget import ByteBudget
from rerankd.rpc import convert

LARGE_BYTES: Final = 512 * 1024
"""Decoding what is shorter takes some 30 ms at most; of 10,000 short documents too."""
_SLICE_BYTES: Final = 64 * 1024
"""Converting as much takes up to 4 ms, of objects of fields."""
_MOST_IN_SLICE: Final = 1000
_BYTES_A_LINE_FEED: Final = 16
"""Texts have fewer line feeds than one in so many bytes."""
_REQUEST: Final[dict[type[Message], str]] = {pb.RerankRequest: "", pb.BatchRerankRequest: "item.request"}
"""Where the messages that can be large have their rerank request."""


class LargeMessages:
    """Turns of the large messages of one server. For one event loop.

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
        holder_path = _REQUEST[message_type]
        async with self._turn:
            self._check(data, _path(message_type, holder_path))
            message = message_type.FromString(data)
            size = len(data)
            del data
            holder: Any = attrgetter(holder_path)(message) if holder_path else message
            sent = list(holder.documents)
            del holder.documents[:]
            decoded = convert_whole(message)
            documents: list[Any] = []
            step = max(1, min(_MOST_IN_SLICE, len(sent) * _SLICE_BYTES // size))
            for start in range(0, len(sent), step):
                await asyncio.sleep(0)
                documents += convert.short_documents_from_proto(sent[start : start + step])
            if documents:
                owner = attrgetter(holder_path)(decoded) if holder_path else decoded
                owner.documents = documents
        return decoded

    def _check(self, data: bytes, path: tuple[int, ...]) -> None:
        """Refuse a message with too many documents or values before anything is made of it.

        Every value of a list has a line feed, every field of an object two.
        """
        check_documents(data, path, self._max_documents())
        line_feeds = data.count(b"\n")
        if line_feeds > 2 * self._max_values and line_feeds * _BYTES_A_LINE_FEED > len(data):
            raise _too_many_values(self._max_values)


def takes(message_type: type[Message]) -> bool:
    """Whether large messages of a type are decoded in turn."""
    return message_type in _REQUEST


def check_documents(data: bytes, path: tuple[int, ...], most: int, name: str = "documents") -> None:
    """Refuse a message with too many documents before anything is made of it.

    Every document has its field's tag, which is a control character in texts: counting that byte takes a millisecond,
    and mostly tells that all is well.

    Args:
        data: A protobuf message.
        path: See `count_fields`.
        most: Documents of a call.
        name: Of the documents, in the error.

    Raises:
        ServiceError: `TOO_MANY_DOCUMENTS`.
    """
    tag = bytes([path[-1] << 3 | 2])
    if data.count(tag) > most and count_fields(data, path, most) > most:
        raise _too_many_documents(most, name)


def count_fields(data: bytes, path: tuple[int, ...], most: int) -> int:
    """Count the fields at a path of field numbers on the wire; stop beyond `most`, or where the bytes are not valid.

    Args:
        data: A protobuf message.
        path: Numbers of the fields that lead to the counted one, and its own.
        most: Where to stop.
    """
    return _count(data, 0, len(data), path, most)


def _count(data: bytes, position: int, end: int, path: tuple[int, ...], most: int) -> int:
    count = 0
    try:
        while position < end and count <= most:
            tag, position = _varint(data, position)
            kind = tag & 7
            if kind == 2:
                length, position = _varint(data, position)
                if tag >> 3 == path[0]:
                    last = min(position + length, end)
                    count += 1 if len(path) == 1 else _count(data, position, last, path[1:], most - count)
                position += length
            elif kind == 0:
                _, position = _varint(data, position)
            elif kind in (1, 5):
                position += 8 if kind == 1 else 4
            else:
                return count
    except IndexError:
        return count
    return count


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80 or shift > 63:
            return value, position
        shift += 7


def _path(message_type: type[Message], holder_path: str) -> tuple[int, ...]:
    descriptor: Any = message_type.DESCRIPTOR
    numbers = []
    for name in (*holder_path.split("."), "documents") if holder_path else ("documents",):
        field = descriptor.fields_by_name[name]
        numbers.append(field.number)
        descriptor = field.message_type
    return tuple(numbers)


def _too_many_documents(most: int, field: str) -> ServiceError:
    message = f"{field} has more than the {most} items this server takes in one call; send fewer"
    return ServiceError(
        Reason.TOO_MANY_DOCUMENTS,
        message,
        metadata={"max_documents": str(most)},
        violations=[FieldViolation(field, message)],
    )


def _too_many_values(most: int) -> ServiceError:
    return ServiceError(
        Reason.INVALID_REQUEST,
        f"the message has more than {most} values; send fewer or smaller objects",
        metadata={"max_values": str(most)},
    )
