"""gRPC serializers and deserializers of contract types.

A message that cannot be decoded (invalid UTF-8, truncated) is passed on as `Undecodable` and becomes INVALID_ARGUMENT
with a reason; an exception in a deserializer would become INTERNAL.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from rerankd.contract.errors import Reason, ServiceError

T = TypeVar("T")
M = TypeVar("M", bound=Message)


class Undecodable:
    """A message that is not valid protobuf of its type."""

    __slots__ = ("error",)

    def __init__(self, error: ServiceError) -> None:
        self.error = error


def decoder(message_type: type[M], convert: Callable[[M], T]) -> Callable[[bytes], T | Undecodable]:
    """Build a deserializer that returns `Undecodable` instead of raising."""
    name = message_type.DESCRIPTOR.name

    def decode(data: bytes) -> T | Undecodable:
        try:
            return convert(message_type.FromString(data))
        except ServiceError as error:
            return Undecodable(error)
        except (DecodeError, ValueError):
            return Undecodable(
                ServiceError(
                    Reason.INVALID_REQUEST,
                    f"the message is not a valid {name}; strings must be UTF-8, fields of their types",
                    metadata={"message_type": name},
                )
            )

    return decode


def encoder(convert: Callable[[T], Message]) -> Callable[[T], bytes]:
    """Build a serializer."""

    def encode(value: T) -> bytes:
        return convert(value).SerializeToString()

    return encode


def accept(message: T | Undecodable) -> T:
    """Return a decoded message.

    Raises:
        ServiceError: `INVALID_REQUEST` if it could not be decoded.
    """
    if isinstance(message, Undecodable):
        raise message.error
    return message


async def accept_stream(messages: AsyncIterator[T | Undecodable]) -> AsyncIterator[T]:
    """Yield decoded messages; reads only on demand.

    Raises:
        ServiceError: `INVALID_REQUEST` at the first one that could not be decoded.
    """
    async for message in messages:
        yield accept(message)
