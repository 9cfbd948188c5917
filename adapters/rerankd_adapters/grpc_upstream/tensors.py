"""Encoding of text tensors and decoding of numeric tensors of the Open Inference Protocol.

Reference: https://github.com/kserve/open-inference-protocol (specification/protocol). Facts of 2026-11-21.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rerankd_adapters.failure import clean
from rerankd_adapters.grpc_upstream.messages import DynamicMessage
from rerankd_adapters.wire import bad_response

_FORMATS: Final[Mapping[str, str]] = {
    "BOOL": "?",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "FP16": "e",
    "BF16": "H",
    "FP32": "f",
    "FP64": "d",
}
"""Datatype to `struct` format; BF16 is decoded as the upper half of a 32-bit float."""
_FIELDS: Final[Mapping[str, str]] = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}


def pack_texts(texts: Iterable[str]) -> bytes:
    """Encode texts as raw contents of a BYTES tensor: a 32-bit little-endian length, then UTF-8, per text."""
    encoded = [text.encode() for text in texts]
    return b"".join(part for text in encoded for part in (struct.pack("<I", len(text)), text))


def read_numbers(response: DynamicMessage, name: str) -> list[Any]:
    """Return the elements of an output tensor of a `ModelInferResponse`, in row-major order.

    Raises:
        AdapterError: `BAD_RESPONSE` when there is no such output, or its content does not match its shape.
    """
    names = [output.name for output in response.outputs]
    if name not in names:
        shown = clean(", ".join(names[:8])) or "none"
        raise bad_response(f"there is no output {name}; the model has {shown}")
    position = names.index(name)
    output = response.outputs[position]
    count = _count(output.shape, name)
    if response.raw_output_contents:
        if position >= len(response.raw_output_contents):
            raise bad_response(f"output {name} has no raw contents")
        return _unpack(response.raw_output_contents[position], output.datatype, count, name)
    return _typed(output, count, name)


def _count(shape: Sequence[int], name: str) -> int:
    if any(size < 0 for size in shape):
        raise bad_response(f"output {name} has a negative size")
    return math.prod(shape)


def _typed(output: DynamicMessage, count: int, name: str) -> list[Any]:
    field = _FIELDS.get(output.datatype)
    if field is None:
        raise _no_number(output.datatype, name)
    values = list(getattr(output.contents, field))
    if len(values) != count:
        raise bad_response(f"output {name} holds {len(values)} elements, its shape says {count}")
    return values


def _unpack(raw: bytes, datatype: str, count: int, name: str) -> list[Any]:
    letter = _FORMATS.get(datatype)
    if letter is None:
        raise _no_number(datatype, name)
    if len(raw) != count * struct.calcsize(letter):
        raise bad_response(f"output {name} holds {len(raw)} bytes, which are not {count} of {datatype}")
    values = list(struct.unpack(f"<{count}{letter}", raw))
    if datatype != "BF16":
        return values
    return list(struct.unpack(f"<{count}f", struct.pack(f"<{count}I", *(value << 16 for value in values))))


def _no_number(datatype: str, name: str) -> Exception:
    return bad_response(f"output {name} is {clean(datatype)[:40] or 'of no datatype'}, not numbers")


def pick_column(values: list[Any], rows: int, column: int | None, name: str) -> list[Any]:
    """Return one element per row. The engine rejects a wrong number of rows.

    Args:
        values: Elements in row-major order.
        rows: Expected number of rows.
        column: Zero-based column; `None`: there must be one column.
        name: Name of the tensor, for the error message.

    Raises:
        AdapterError: `BAD_RESPONSE` for several columns without a valid `column`.
    """
    if len(values) <= rows or len(values) % rows:
        return values
    width = len(values) // rows
    if column is None or column >= width:
        raise bad_response(f"output {name} has {width} columns; set the option score_column to one of them")
    return values[column::width]
