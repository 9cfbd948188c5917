"""Decodes large JSON objects a slice of their lists at a time, so that other calls get their turn."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any, Final, Generic, TypeVar, get_args, get_origin

import msgspec

_SLICE_BYTES: Final = 256 * 1024
"""Decoding as much takes one to three milliseconds."""
_decode_items: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_encode: Final = msgspec.json.Encoder().encode
T = TypeVar("T", bound=msgspec.Struct)


class SlicedDecoder(Generic[T]):
    """Decodes objects of one type. Safe for any number of calls.

    msgspec holds the interpreter while it decodes, in a thread too: 25 MB of objects take 120 ms.

    Args:
        struct_type: Type of the objects; its fields of lists are decoded in slices.
    """

    def __init__(self, struct_type: type[T]) -> None:
        self._decode = msgspec.json.Decoder(struct_type).decode
        self._lists = {
            field.encode_name: _List(field.name, item_type)
            for field in msgspec.structs.fields(struct_type)
            for item_type in _item_types(field.type)
        }

    async def decode(self, keys: Mapping[str, msgspec.Raw]) -> T | None:
        """Decode an object; the event loop is yielded between slices.

        Args:
            keys: Of the object, values still encoded.

        Returns:
            The object; `None` where it is not valid, about which the decoder of whole texts says more.
        """
        large = {
            name: value
            for name, value in keys.items()
            if name in self._lists and _size(value) > _SLICE_BYTES and bytes(memoryview(value)[:1]) == b"["
        }
        try:
            decoded = self._decode(_encode({**keys, **dict.fromkeys(large, msgspec.Raw(b"[]"))}))
            for name, value in large.items():
                setattr(decoded, self._lists[name].attribute, await self._lists[name].decode(value))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        return decoded


class _List:
    """Decodes the lists of one field."""

    def __init__(self, attribute: str, item_type: Any) -> None:
        self.attribute = attribute
        self._decode_item = msgspec.json.Decoder(item_type).decode
        self._decode_slice = msgspec.json.Decoder(list[item_type]).decode

    async def decode(self, text: msgspec.Raw) -> list[Any]:
        items = _decode_items(text)
        await asyncio.sleep(0)
        decoded: list[Any] = []
        count = max(1, len(items) * _SLICE_BYTES // _size(text))
        for start in range(0, len(items), count):
            if count == 1:  # large ones are not copied
                decoded.append(self._decode_item(items[start]))
            else:
                decoded += self._decode_slice(b"[%b]" % b",".join(items[start : start + count]))
            await asyncio.sleep(0)
        return decoded


def _size(text: msgspec.Raw) -> int:
    return memoryview(text).nbytes


def _item_types(annotation: Any) -> Iterator[Any]:
    """Yield the type of items of the first list among the types that a field may have."""
    for each in (annotation, *get_args(annotation)):
        if get_origin(each) is list:
            yield get_args(each)[0]
            return
