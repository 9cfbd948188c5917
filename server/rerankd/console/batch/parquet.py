"""Reading and writing Parquet files in row batches, with pyarrow."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from rerankd.console.batch.files import require
from rerankd.console.errors import USAGE, CommandError

_READ_ROWS: Final = 256
_WRITTEN_ROWS: Final = 2000


def read_table(path: Path, wanted: Collection[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file as JSON values.

    Args:
        path: File to read.
        wanted: Columns to read; missing ones are ignored.

    Raises:
        CommandError: The file cannot be read, or pyarrow is not installed.
    """
    with _open(path) as file:
        columns = [name for name in file.schema_arrow.names if name in wanted]
        for batch in file.iter_batches(batch_size=_READ_ROWS, columns=columns):
            yield from msgspec.to_builtins(batch.to_pylist())


def count_rows(path: Path) -> int:
    """Return the number of rows in the file's footer; raises as `read_table`."""
    with _open(path) as file:
        return int(file.metadata.num_rows)


def write_table(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    """Write journal rows to a Parquet file."""
    pa, pq = require_pyarrow()
    schema = _schema(pa)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        block: list[dict[str, Any]] = []
        for row in rows:
            block.append(_flat(row))
            if len(block) == _WRITTEN_ROWS:
                writer.write_table(pa.Table.from_pylist(block, schema))
                block = []
        writer.write_table(pa.Table.from_pylist(block, schema))


def require_pyarrow() -> tuple[Any, Any]:
    """Import `pyarrow` and `pyarrow.parquet`.

    Raises:
        CommandError: pyarrow is not installed.
    """
    names = ("pyarrow", "pyarrow.parquet")
    base, parquet = (require(name, "Parquet", "rerankd[parquet]") for name in names)
    return base, parquet


def _open(path: Path) -> Any:
    pa, pq = require_pyarrow()
    try:
        return pq.ParquetFile(path)
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror or error}", exit_code=USAGE) from None
    except pa.ArrowException:
        raise CommandError(f"{path} is not a Parquet file", exit_code=USAGE) from None


def _schema(pa: Any) -> Any:
    document = pa.struct({"text": pa.string(), "id": pa.string(), "fields": pa.string(), "metadata": pa.string()})
    result = pa.struct({"index": pa.int32(), "relevance_score": pa.float64(), "document": document})
    counts = ("documents", "prompt_tokens", "completion_tokens", "total_tokens", "search_units")
    usage = pa.struct({**dict.fromkeys(counts, pa.int64()), "cost": pa.float64()})
    return pa.schema(
        {
            "item_id": pa.string(),
            "item_index": pa.int64(),
            "status_code": pa.int32(),
            "status_reason": pa.string(),
            "status_message": pa.string(),
            "model": pa.string(),
            "results": pa.list_(result),
            "usage": usage,
        }
    )


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    for result in row.get("results") or ():
        document = result.get("document")
        for name in ("fields", "metadata"):
            if document and document.get(name) is not None:
                # Structured content has no common schema, so it is stored as JSON text.
                document[name] = msgspec.json.encode(document[name]).decode()
    status = row.pop("status")
    return row | {f"status_{name}": value for name, value in status.items()}
