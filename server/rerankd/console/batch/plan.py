"""Options of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

STANDARD_STREAM: Final = "-"


@dataclass(frozen=True, slots=True)
class Columns:
    """Column names of the parts of a request."""

    query: str = "query"
    documents: str = "documents"
    id: str | None = None
    """None: `item_id`, else `id`, else the row number."""
    text: str | None = None
    """Text field of document objects; None: objects are documents of the contract."""
    is_lenient: bool = False
    """Ignore unknown fields instead of failing the row."""


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """Options of a batch from the command line."""

    input: Path
    """`-`: standard input."""
    output: Path
    """`-`: standard output."""
    defaults: Mapping[str, object] = field(default_factory=dict)
    """`RerankOptions` for fields that rows leave unset."""
    columns: Columns = Columns()
    concurrency: int | None = None
    """Items in flight at once; None: the server's limit."""
    is_resumed: bool = True
    """Resume an earlier run of the same batch."""
    is_failed_retried: bool = False
    """Run failed items of earlier runs again."""
    is_strict: bool = False
    """Stop at the first invalid row."""
    max_failures: int | None = None
    """Stop when more items than this have failed; None: never."""
    retry_for_s: float = 60.0
    """Seconds to keep reconnecting to a server that became unavailable."""

    @property
    def is_piped_in(self) -> bool:
        """Whether rows come from standard input."""
        return str(self.input) == STANDARD_STREAM

    @property
    def is_piped_out(self) -> bool:
        """Whether outcomes go to standard output."""
        return str(self.output) == STANDARD_STREAM
