"""How a run becomes a row of the store, and a row a run. Cheap to import: no database library."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import structs

from rerankd.runs.run import Run, RunDetails

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


class Row(NamedTuple):
    """A run as it is stored."""

    run_id: str
    size: int
    """Bytes that it takes, about."""
    values: tuple[Any, ...]
    """In the order of `COLUMNS`."""


COLUMNS: Final = (*Run.__struct_fields__[:-1], "bytes", "details")
"""Columns of the table `runs`: the fields of a run, whose details come last, with the size of a row before them."""
ROW_BYTES: Final = 900
"""What a row and its entries in the indexes take beside `details` and `query`, about."""
_FIELDS: Final = COLUMNS[:-2]
_CALLERS_TEXTS: Final = ("caller", "user", "model", "query", "request_id")
"""Columns with what callers choose: PostgreSQL has no NUL in a text."""
_LEAST_COMPRESSED: Final = 512
_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(RunDetails)


class RowEncoder:
    """Makes rows of runs. For one thread."""

    def __init__(self) -> None:
        self._compressor = zstd.ZstdCompressor(level=1)

    def row_of(self, run: Run) -> Row:
        """Return the row of a run, whose texts lose their NULs."""
        for name in _CALLERS_TEXTS:
            if "\0" in (text := getattr(run, name)):
                setattr(run, name, text.replace("\0", "\N{REPLACEMENT CHARACTER}"))
        details = _encoder.encode(run.details or RunDetails())
        if len(details) >= _LEAST_COMPRESSED:
            details = self._compressor.compress(details, zstd.ZstdCompressor.FLUSH_FRAME)
        size = ROW_BYTES + len(details) + len(run.query)
        return Row(run.run_id, size, (*structs.astuple(run)[:-1], size, details))


def run_of(row: Mapping[Any, Any]) -> Run:
    """Return the run of a row, with its details where they were selected."""
    run = Run(**{name: row[name] for name in _FIELDS})
    if "details" in row:
        details = bytes(row["details"])
        run.details = _decoder.decode(zstd.decompress(details) if details.startswith(_MAGIC) else details)
    return run
