"""Reads judged queries from JSON Lines."""

from __future__ import annotations

import gzip
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rerankd.console.documents import Document
from rerankd.console.errors import USAGE, CommandError

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_FIELDS: Final = ("query", "documents", "grades")
_HINT: Final = '{"query": "...", "documents": ["...", "..."], "grades": [2, 0]} is a line'


@dataclass(frozen=True, slots=True)
class JudgedQuery:
    """A query, its documents, and how relevant people found them."""

    query: str
    documents: Sequence[Document]
    """n texts or objects of the contract's `Document`, n >= 2."""
    grades: Sequence[float]
    """n numbers, 0 and above: 0 is not relevant, 2 twice as relevant as 1."""


def read_judged_queries(file: Path) -> list[JudgedQuery]:
    """Read a file of judged queries, `.gz` too; `-` is standard input.

    Raises:
        CommandError: The file cannot be read, has no query, or a line is none; names the line.
    """
    name = "standard input" if str(file) == "-" else str(file)
    lines = enumerate(_read(file, name).removeprefix(_BYTE_ORDER_MARK).split(b"\n"), start=1)
    queries = [_query_of(line, f"{name}, line {number}") for number, line in lines if line.strip()]
    if not queries:
        raise CommandError(f"{name} has no judged query", _HINT, USAGE)
    return queries


def _read(file: Path, name: str) -> bytes:
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        return gzip.decompress(data) if file.suffix == ".gz" else data
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CommandError(f"cannot read {name}: {reason}", exit_code=USAGE) from None


def _query_of(line: bytes, name: str) -> JudgedQuery:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise CommandError(f"{name} is not JSON: {error}", _HINT, USAGE) from None
    if not isinstance(value, dict):
        raise CommandError(f"{name} is no object", _HINT, USAGE)
    for field in _FIELDS:
        if field not in value:
            raise CommandError(f"{name} has no `{field}`", _HINT, USAGE)
    fault = _fault_of(value["query"], value["documents"], value["grades"])
    if fault:
        raise CommandError(f"{name}: {fault}", _HINT, USAGE)
    return JudgedQuery(value["query"], value["documents"], value["grades"])


def _fault_of(query: Any, documents: Any, grades: Any) -> str:
    """Return what is wrong with a line's values, or an empty text."""
    if not isinstance(query, str) or not query.strip():
        return "`query` must be a text that is not blank"
    if not isinstance(documents, list) or len(documents) < 2:
        return "`documents` must be a list of at least 2"
    for position, document in enumerate(documents):
        if not isinstance(document, str | dict):
            return f"`documents[{position}]` must be a text or an object"
    if not isinstance(grades, list):
        return "`grades` must be a list of numbers"
    for position, grade in enumerate(grades):
        if isinstance(grade, bool) or not isinstance(grade, int | float) or not 0 <= grade < math.inf:
            return f"`grades[{position}]` must be a number, 0 or above"
    if len(grades) != len(documents):
        return f"{len(documents)} documents have {len(grades)} grades; every document needs one"
    return ""
