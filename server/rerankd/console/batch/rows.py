"""Input rows of a batch, each a request or a validation error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from rerankd.console.batch.files import Format, format_of, open_lines
from rerankd.console.batch.parquet import read_table
from rerankd.console.batch.plan import BatchPlan, Columns
from rerankd.contract import messages
from rerankd.contract.errors import ServiceError
from rerankd.contract.suggestions import did_you_mean
from rerankd.gateway.decode_errors import explain
from rerankd_client.documents import encode_document

FIELDS: Final = frozenset(messages.RerankRequest.__struct_fields__)
"""Request fields that a row may have besides its identifier."""
_IDS: Final = ("item_id", "id")
_MOST_ID_CHARS: Final = 1000


class RowProblem(Exception):  # noqa: N818 - it stops nothing but the row
    """An invalid row; the message names the field."""


@dataclass(slots=True)
class InputRow:
    """One input row."""

    index: int
    """Zero-based row number, `item_index` in the output."""
    item_id: str
    """Identifier of the row, else its index; empty for one that cannot be read, which no other row can have."""
    item: dict[str, object]
    """A `BatchItem`; empty if the row is invalid."""
    problem: str = ""
    """Why the row is invalid, with row number and field."""


def read_rows(plan: BatchPlan) -> Iterator[InputRow]:
    """Yield every input row in order; holds one row in memory at a time (Parquet: one row batch).

    Raises:
        CommandError: The input cannot be read.
    """
    columns = plan.columns
    if format_of(plan.input) is Format.PARQUET and not plan.is_piped_in:
        wanted = {columns.query, columns.documents, *FIELDS, *((columns.id,) if columns.id else _IDS)}
        for index, values in enumerate(read_table(plan.input, wanted)):
            given = {name: value for name, value in values.items() if value is not None}
            yield _row(index, f"row {index + 1}", given, columns)
        return
    index = 0
    with open_lines(plan.input) as stream:
        for number, line in enumerate(stream, 1):
            if not line.isspace():
                yield _row_of_line(index, f"line {number}", line, columns)
                index += 1


def _row_of_line(index: int, where: str, line: bytes, columns: Columns) -> InputRow:
    try:
        values = msgspec.json.decode(line.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        why = str(error) if isinstance(error, msgspec.DecodeError) else "it is not UTF-8, or nested too deeply"
        return InputRow(index, "", {}, f"{where} is not JSON: {why}")
    return _row(index, where, values, columns)


def _row(index: int, where: str, values: object, columns: Columns) -> InputRow:
    if not isinstance(values, dict):
        return InputRow(index, "", {}, f"{where}: a row must be an object, is {_kind(values)}")
    item_id = _item_id(values, columns) or str(index)
    try:
        return InputRow(index, item_id, _item(values, columns))
    except RowProblem as error:
        return InputRow(index, item_id, {}, f"{where}: {error}")


def _item_id(values: dict[str, object], columns: Columns) -> str:
    """Remove and return the row's identifier; empty without one."""
    found = [values.pop(name, None) for name in ((columns.id,) if columns.id else _IDS)]
    return next((str(value)[:_MOST_ID_CHARS] for value in found if isinstance(value, str | int)), "")


def _item(values: dict[str, object], columns: Columns) -> dict[str, object]:
    """Build a `BatchItem` from a row without its identifier.

    Raises:
        RowProblem: The row is invalid; the message names the field.
    """
    query, documents = values.pop(columns.query, None), values.pop(columns.documents, None)
    if query is None:
        raise RowProblem(f"{columns.query} is missing{did_you_mean(columns.query, values)}")
    if not isinstance(query, str):
        raise RowProblem(f"{columns.query} must be a string, is {_kind(query)}")
    if documents is None:
        raise RowProblem(f"{columns.documents} is missing{did_you_mean(columns.documents, values)}")
    if not isinstance(documents, list):
        raise RowProblem(f"{columns.documents} must be a list, is {_kind(documents)}")
    options = {name: value for name, value in values.items() if value is not None}
    if columns.is_lenient:
        options = {name: value for name, value in options.items() if name in FIELDS}
    _check_options(options)
    is_structured = bool(options.get("rank_fields"))
    for number, document in enumerate(documents):
        if not isinstance(document, str):
            where = f"{columns.documents}[{number}]"
            documents[number] = _document(document, where, columns, is_structured=is_structured)
    return {**options, "query": query, "documents": documents}


def _check_options(options: Mapping[str, object]) -> None:
    try:
        msgspec.convert(options, messages.RerankRequest)
    except msgspec.ValidationError as error:
        try:
            raise explain(str(error), messages.RerankRequest, "the row")
        except ServiceError as explained:
            raise RowProblem(explained.message) from None


def _document(document: object, where: str, columns: Columns, *, is_structured: bool) -> Mapping[str, object]:
    if not isinstance(document, dict):
        raise RowProblem(f"{where} must be a string or an object, is {_kind(document)}")
    given = {name: value for name, value in document.items() if value is not None}
    if columns.text is not None:
        if not isinstance(given.get(columns.text), str):
            raise RowProblem(f"{where}.{columns.text} must be a string{did_you_mean(columns.text, given)}")
        chosen = {"text": given[columns.text]}
        return {**chosen, "id": str(given["id"])} if "id" in given else chosen
    try:
        encode_document(given, is_structured=is_structured)
    except (TypeError, ValueError) as error:
        raise RowProblem(f"{where}: {error}") from None
    return given


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
