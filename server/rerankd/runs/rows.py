"""How a run becomes a row of the store, and a row a run. Cheap to import: no database library."""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any, Final, NamedTuple

import msgspec

from rerankd.runs.run import Run, RunDetails
from rerankd.runs.stored_details import StoredDetails, unfold


class RunRow(NamedTuple):
    """A run as it waits for the store."""

    run_id: str
    size: int
    """Bytes that it takes, about."""
    values: tuple[Any, ...]
    """In the order of `FIELDS`."""
    details: bytes
    """JSON of a `StoredDetails`."""


FIELDS: Final = Run.__struct_fields__[:-1]
"""Fields of a run but its details, which come last: each is a column."""
COLUMNS: Final = (*FIELDS, "bytes", "details", "block_id")
"""Columns of the table `runs`."""
ROW_BYTES: Final = 900
"""What a row and its entries in the indexes take beside `details` and `query`, about."""
_CALLERS_TEXTS: Final = ("caller", "user", "model", "query", "request_id")
"""Columns with what callers choose: PostgreSQL has no NUL in a text."""
_CALLERS_AT: Final = tuple(map(FIELDS.index, _CALLERS_TEXTS))
_callers_texts_of: Final = itemgetter(*_CALLERS_AT)
_QUERY_AT: Final = FIELDS.index("query")
_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(StoredDetails)


def row_of(values: tuple[Any, ...], details: RunDetails) -> RunRow:
    """Return the row of a run, whose texts lose their NULs. Safe for concurrent threads.

    Args:
        values: Its fields but `details`, in the order of `FIELDS`.
        details: The rest of it; `StoredDetails` may have columns.
    """
    if "\0" in "".join(_callers_texts_of(values)):
        values = tuple(
            value.replace("\0", "\N{REPLACEMENT CHARACTER}") if at in _CALLERS_AT else value
            for at, value in enumerate(values)
        )
    encoded = _encoder.encode(details)
    return RunRow(values[0], ROW_BYTES + len(encoded) + len(values[_QUERY_AT]), values, encoded)


def run_of(row: Mapping[Any, Any], details: bytes | None = None) -> Run:
    """Return the run of a row.

    Args:
        row: Values by column.
        details: As in `RunRow`; `None` to leave them out.
    """
    run = Run(**{name: row[name] for name in FIELDS})
    if details is not None:
        run.details = unfold(_decoder.decode(details))
    return run
