"""Details of runs as they are stored: those of runs that are stored together are compressed together.

One call of zstd compresses a block of 64 KiB, without the interpreter's lock, in half the time that its runs would
take one by one, to six tenths of their bytes. The only run of a block keeps its details in its row.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from rerankd.runs.rows import RunRow

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BLOCK_BYTES: Final = 65_536
"""Details of a block before compression, at most: reading one run decompresses all of them, in some 50 us."""
_LEAST_COMPRESSED: Final = 512
_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_PLACE: Final = struct.Struct(">2I")
"""Offset and length of a run's details in its block: what its row has for details."""


class Packed(NamedTuple):
    """What is to be stored of some runs."""

    rows: list[tuple[Any, ...]]
    """Values in the order of `rows.COLUMNS`."""
    blocks: list[tuple[str, bytes]]
    """Id and compressed data. The id is that of the block's newest run."""
    size: int
    """Bytes of all rows with their shares of the blocks, about."""


class BlockPacker:
    """Packs runs. For one thread."""

    def __init__(self) -> None:
        self._compressor = zstd.ZstdCompressor(level=1)

    def pack(self, rows: Sequence[RunRow]) -> Packed:
        """Pack n rows, n >= 1."""
        values: list[tuple[Any, ...]] = []
        blocks: list[tuple[str, bytes]] = []
        total = 0
        for group in _groups(rows):
            data = self._compressed(b"".join([row.details for row in group]))
            block_id = ""
            if len(group) > 1:
                block_id = max(row.run_id for row in group)
                blocks.append((block_id, data))
            share, offset = len(data) // len(group), 0
            for row in group:
                length = len(row.details)
                size = row.size - length + share
                values.append((*row.values, size, _PLACE.pack(offset, length) if block_id else data, block_id))
                offset += length
                total += size
        return Packed(values, blocks, total)

    def _compressed(self, details: bytes) -> bytes:
        if len(details) < _LEAST_COMPRESSED:
            return details
        return self._compressor.compress(details, zstd.ZstdCompressor.FLUSH_FRAME)


def details_in(row: Mapping[Any, Any], blocks: Mapping[str, bytes]) -> bytes:
    """Return the details of a row, as they were packed.

    Args:
        row: Values by column; of them `details` and `block_id`.
        blocks: Blocks by id, decompressed; has the row's block, if it is in one.
    """
    details, block_id = bytes(row["details"]), row["block_id"]
    if not block_id:
        return decompressed(details)
    offset, length = _PLACE.unpack(details)
    return blocks[block_id][offset : offset + length]


def decompressed(data: bytes) -> bytes:
    """Return the data of a block before compression; short ones are not compressed."""
    return zstd.decompress(data) if data.startswith(_MAGIC) else data


def _groups(rows: Sequence[RunRow]) -> Iterator[list[RunRow]]:
    """Yield the rows of each block."""
    group: list[RunRow] = []
    size = 0
    for row in rows:
        if group and size + len(row.details) > BLOCK_BYTES:
            yield group
            group, size = [], 0
        group.append(row)
        size += len(row.details)
    yield group
