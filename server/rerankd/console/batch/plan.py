"""What a batch is asked to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

STANDARD_STREAM: Final = "-"


@dataclass(frozen=True, slots=True)
class Columns:
    """Where the parts of a request are in a row."""

    query: str = "query"
    documents: str = "documents"
    id: str | None = None
    """None: `item_id`, else `id`, else the row's number."""
    text: str | None = None
    """Field of document objects that holds the text; None: objects are documents as the contract has them."""
    is_lenient: bool = False
    """Leave fields aside that no request has, instead of failing the row."""


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """Everything the command line says of a batch."""

    input: Path
    """`-`: standard input."""
    output: Path
    """`-`: standard output."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """`RerankOptions` for what rows leave unset."""
    columns: Columns = Columns()
    concurrency: int | None = None
    """Items under way at once; None: as many as the server takes."""
    is_resumed: bool = True
    """Go on with an earlier run of the same batch."""
    is_failed_retried: bool = False
    """Run items again that failed in an earlier run."""
    is_strict: bool = False
    """Stop at the first row that is no request."""
    max_failures: int | None = None
    """Stop after more failures than this."""
    retry_for_s: float = 60.0
    """How long to try to reach a server that went away."""

    @property
    def is_piped_in(self) -> bool:
        """Whether rows come from standard input."""
        return str(self.input) == STANDARD_STREAM

    @property
    def is_piped_out(self) -> bool:
        """Whether outcomes go to standard output."""
        return str(self.output) == STANDARD_STREAM
