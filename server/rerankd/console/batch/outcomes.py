"""Output rows of a batch."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from rerankd.contract.errors import Code, Reason
from rerankd_client import BatchResult, RerankError, RerankResponse, Usage


class ItemStatus(msgspec.Struct, frozen=True):
    """Status of an item."""

    code: int = 0
    """gRPC status code; 0 is OK."""
    reason: str = ""
    """Error reason, such as `MODEL_NOT_FOUND`; empty for OK."""
    message: str = ""
    """Error message; empty for OK."""


class Outcome(msgspec.Struct, frozen=True):
    """One output row: the result or the error of an item."""

    item_id: str
    """Identifier of the input row, else its index; empty for a line that could not be read."""
    item_index: int
    """Zero-based row number in the input."""
    status: ItemStatus
    results: list[dict[str, Any]] | None = None
    """`index`, `relevance_score` and, on request, `document`; best first; None for a failed item."""
    model: str = ""
    """Model that produced the scores."""
    usage: Usage | None = None
    """Resources consumed; None for a failed item."""
    warnings: list[str] = msgspec.field(default_factory=list)
    """Warnings: truncated documents, ignored options."""


class RecordedOutcome(msgspec.Struct):
    """The fields of an output row that a resumed run reads."""

    item_index: int
    status: ItemStatus
    usage: Usage | None = None
    item_id: str = ""


_OK: Final = ItemStatus()


def outcome_of(result: BatchResult, item_id: str, item_index: int) -> Outcome:
    """Build the row of an executed item."""
    response = result.response
    if response is None:
        return Outcome(item_id, item_index, _status_of(result.error))
    return Outcome(
        item_id, item_index, _OK, _results(response), response.model, response.usage, list(response.warnings)
    )


def bad_row(item_id: str, item_index: int, problem: str) -> Outcome:
    """Build the row of an input row that is not a valid request."""
    return Outcome(item_id, item_index, ItemStatus(int(Code.INVALID_ARGUMENT), Reason.INVALID_REQUEST.value, problem))


def _status_of(error: RerankError | None) -> ItemStatus:
    if error is None:
        return ItemStatus(int(Code.INTERNAL), Reason.INTERNAL.value, "the server sent neither response nor error")
    return ItemStatus(error.code.value[0], error.reason, error.message)


def _results(response: RerankResponse) -> list[dict[str, object]]:
    results: list[dict[str, object]] = []
    for result in response.results:
        row: dict[str, object] = {"index": result.index, "relevance_score": result.relevance_score}
        if (document := result.document) is not None:
            given = {"id": document.id or None, "fields": document.fields, "metadata": document.metadata}
            row["document"] = {"text": document.text} | {k: v for k, v in given.items() if v is not None}
        results.append(row)
    return results
