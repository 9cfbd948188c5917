"""gRPC serializers and deserializers of contract types.

A message that cannot be decoded (invalid UTF-8, truncated) is passed on as `Undecodable` and becomes INVALID_ARGUMENT
with a reason; an exception in a deserializer would become INTERNAL.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from typing import Any, Generic, Self, TypeVar

from google.protobuf.message import DecodeError, Message

from rerankd.contract.errors import Reason, ServiceError
from rerankd.rpc.large_messages import LARGE_BYTES, LargeMessages, takes

T = TypeVar("T")
M = TypeVar("M", bound=Message)


class Undecodable:
    """A message that is not valid protobuf of its type."""

    __slots__ = ("error",)

    def __init__(self, error: ServiceError) -> None:
        self.error = error


class Undecoded(Generic[T]):
    """A large message that is decoded later, in turn; a context manager that holds its bytes.

    Args:
        data: The message.
        message_type: Its type.
        convert: Makes the contract's type of it.
        large: Gives the turns.

    Raises:
        ServiceError: `OVERLOADED` when other messages leave no room for it.
    """

    __slots__ = ("_convert", "_data", "_held", "_large", "_type")

    def __init__(
        self, data: bytes, message_type: type[Message], convert: Callable[[Any], T], large: LargeMessages
    ) -> None:
        self._data = data
        self._type = message_type
        self._convert = convert
        self._large = large
        self._held = large.budget.hold()
        self._held.grow(len(data))

    async def read(self) -> T:
        """Decode it.

        Raises:
            ServiceError: `INVALID_REQUEST` when it cannot be decoded, `TOO_MANY_DOCUMENTS`.
        """
        try:
            decoded: T = await self._large.decode(self._take(), self._type, self._convert)
        except (DecodeError, ValueError):
            raise _not_valid(self._type.DESCRIPTOR.name) from None
        return decoded

    def _take(self) -> bytes:
        """Return the bytes without keeping them: they need not outlive their decoding."""
        data, self._data = self._data, b""
        return data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.clear()


def decoder(
    message_type: type[M], convert: Callable[[M], T], large: LargeMessages | None = None
) -> Callable[[bytes], T | Undecoded[T] | Undecodable]:
    """Build a deserializer that returns `Undecodable` instead of raising, and `Undecoded` for large messages."""
    name = message_type.DESCRIPTOR.name
    whole_bytes = LARGE_BYTES if large is not None and takes(message_type) else sys.maxsize

    def decode(data: bytes) -> T | Undecoded[T] | Undecodable:
        try:
            if large is not None and len(data) > whole_bytes:
                return Undecoded(data, message_type, convert, large)
            return convert(message_type.FromString(data))
        except ServiceError as error:
            return Undecodable(error)
        except (DecodeError, ValueError):
            return Undecodable(_not_valid(name))

    return decode


def _not_valid(name: str) -> ServiceError:
    return ServiceError(
        Reason.INVALID_REQUEST,
        f"the message is not a valid {name}; strings must be UTF-8, fields of their types",
        metadata={"message_type": name},
    )


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


async def accept_stream(messages: AsyncIterator[T | Undecoded[T] | Undecodable]) -> AsyncIterator[T]:
    """Yield decoded messages; reads only on demand.

    Raises:
        ServiceError: `INVALID_REQUEST` at the first one that could not be decoded.
    """
    async for message in messages:
        if isinstance(message, Undecoded):
            with message:
                decoded: T = await message.read()
            yield decoded
        else:
            yield accept(message)
