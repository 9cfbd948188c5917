"""How a run becomes a row of the store, and a row a run. Cheap to import: no database library."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import structs

from rerankd.runs.run import Run, RunDetails


class RunRow(NamedTuple):
    """A run as it waits for the store."""

    run_id: str
    size: int
    """Bytes that it takes, about."""
    values: tuple[Any, ...]
    """In the order of `FIELDS`."""
    details: bytes
    """JSON of a `RunDetails`."""


FIELDS: Final = Run.__struct_fields__[:-1]
"""Fields of a run but its details, which come last: each is a column."""
COLUMNS: Final = (*FIELDS, "bytes", "details", "block_id")
"""Columns of the table `runs`."""
ROW_BYTES: Final = 900
"""What a row and its entries in the indexes take beside `details` and `query`, about."""
_CALLERS_TEXTS: Final = ("caller", "user", "model", "query", "request_id")
"""Columns with what callers choose: PostgreSQL has no NUL in a text."""
_callers_texts_of: Final = attrgetter(*_CALLERS_TEXTS)
_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(RunDetails)


def row_of(run: Run) -> RunRow:
    """Return the row of a run, whose texts lose their NULs. Safe for concurrent threads."""
    if "\0" in "".join(_callers_texts_of(run)):
        for name in _CALLERS_TEXTS:
            setattr(run, name, getattr(run, name).replace("\0", "\N{REPLACEMENT CHARACTER}"))
    details = _encoder.encode(run.details or RunDetails())
    size = ROW_BYTES + len(details) + len(run.query)
    return RunRow(run.run_id, size, structs.astuple(run)[:-1], details)


def run_of(row: Mapping[Any, Any], details: bytes | None = None) -> Run:
    """Return the run of a row.

    Args:
        row: Values by column.
        details: As in `RunRow`; `None` to leave them out.
    """
    run = Run(**{name: row[name] for name in FIELDS})
    if details is not None:
        run.details = _decoder.decode(details)
    return run
