"""Input of the `rerank` command: query and documents from arguments, a file or standard input."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rerankd.console.errors import USAGE, CommandError

Document = str | Mapping[str, Any]
"""A text, or an object of the contract's `Document` message."""

_LINE_FORMATS: Final = (".jsonl", ".ndjson")


@dataclass(slots=True)
class RerankInput:
    """Query, documents and options of a request."""

    query: str | None = None
    """None if only documents were given."""
    documents: list[Document] = field(default_factory=list)
    """In request order."""
    options: dict[str, Any] = field(default_factory=dict)
    """Other fields of a request that was read from a file."""


def collect_input(query: str | None, documents: Sequence[str], file: Path | None) -> RerankInput:
    """Combine arguments, file and standard input.

    Standard input is read if `file` is `-`, or if there are no documents and no file and it is not a terminal.

    Raises:
        CommandError: There is no query or no document, or the input is invalid.
    """
    collected = RerankInput()
    if file is not None and str(file) != "-":
        collected = parse_documents(_read_file(file), str(file), file.suffix.lower())
    elif file is not None or (not documents and not sys.stdin.isatty()):
        collected = parse_documents(sys.stdin.buffer.read(), "standard input", "")
    collected.documents[:0] = documents
    if query is not None:
        collected.query = query
    if collected.query is None:
        raise CommandError("there is no query", "give it as the first argument", USAGE)
    if not collected.documents:
        hint = "give them as arguments, with --file FILE, or on standard input, one a line"
        raise CommandError("there are no documents", hint, USAGE)
    return collected


def parse_documents(data: bytes, name: str, suffix: str = "") -> RerankInput:
    """Parse documents or a whole request.

    Accepted formats: JSON (a list of documents, a request object with `documents`, or one document), JSON Lines, and
    plain text with one document per non-blank line. Without a telling suffix the first character decides: `{` or `[`
    for JSON.

    Args:
        data: UTF-8 text.
        name: Source, for error messages.
        suffix: Lower-case file suffix, such as `.jsonl`; empty: detect the format.

    Raises:
        CommandError: The text has none of these formats.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CommandError(f"{name} is not UTF-8 text (byte {error.start})") from None
    lines = [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        return RerankInput()
    is_object = lines[0][1].startswith("{")
    if suffix == ".json" or (suffix not in _LINE_FORMATS and (is_object or lines[0][1].startswith("["))):
        try:
            return _request_of_json(json.loads(text), name)
        except json.JSONDecodeError as error:
            if suffix == ".json":
                raise CommandError(f"{name} is not JSON: {error}") from None
    if is_object or suffix in _LINE_FORMATS:
        return RerankInput(documents=[_document_of_line(line, f"{name}, line {number}") for number, line in lines])
    return RerankInput(documents=[line for _, line in lines])


def snippet(document: Document) -> str:
    """Return a document's text on one line without control characters, for display."""
    if isinstance(document, str):
        text = document
    elif document.get("text"):
        text = str(document["text"])
    elif isinstance(document.get("image"), str) and not document.get("fields"):
        url = document["image"]
        text = url.partition(";")[0].removeprefix("data:") if url.startswith("data:") else url
    else:
        content = document.get("fields") or document
        text = " · ".join(f"{key}: {value}" for key, value in content.items())
    return " ".join("".join(char if char.isprintable() else " " for char in text[:2000]).split())


def _read_file(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise CommandError(f"cannot read {file}: {error.strerror}", exit_code=USAGE) from None


def _request_of_json(value: Any, name: str) -> RerankInput:
    if isinstance(value, list):
        return RerankInput(documents=[_check_document(item, f"{name}, item {n}") for n, item in enumerate(value)])
    if isinstance(value, dict) and isinstance(value.get("documents"), list):
        options = dict(value)
        request = _request_of_json(options.pop("documents"), name)
        query = options.pop("query", None)
        if query is not None and not isinstance(query, str):
            raise CommandError(f"{name}: the query must be a string, is {json.dumps(query)[:40]}")
        return RerankInput(query, request.documents, options)
    return RerankInput(documents=[_check_document(value, name)])


def _document_of_line(line: str, name: str) -> Document:
    try:
        return _check_document(json.loads(line), name)
    except json.JSONDecodeError as error:
        raise CommandError(f"{name} is not JSON: {error.msg}", "JSON Lines has one document a line") from None


def _check_document(value: Any, name: str) -> Document:
    if isinstance(value, str | dict):
        return value
    raise CommandError(f"{name}: a document is a string or an object, not {json.dumps(value)[:40]}")
