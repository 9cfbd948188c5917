"""What guardrails find in a text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol


class Finding(NamedTuple):
    """A part of a text."""

    start: int
    """Position of its first character."""
    end: int
    """Position after its last character, > `start`."""
    kind: str
    """What it is, in lower case: `email`, `card`."""


class Finder(Protocol):
    """Looks for something in texts. Thread-safe, and does not wait."""

    @property
    def reads_pieces(self) -> bool:
        """Whether it may be given a long text in pieces of some 8,000 characters that overlap."""
        ...

    def find(self, text: str, *, is_query: bool) -> Sequence[Finding]:
        """Return what is found, in any order; findings may overlap.

        Args:
            text: Query, instruction or document, of any length.
            is_query: Whether it is the query or the instruction.
        """
        ...


def masked(text: str, findings: Iterable[Finding]) -> str:
    """Return `text` with `<KIND>` in place of each finding, or nothing in place of one of no kind."""
    parts, position = list[str](), 0
    for start, end, kind in sorted(findings):
        if start >= position:
            parts += [text[position:start], f"<{kind.upper()}>" if kind else ""]
        position = max(position, end)
    return "".join([*parts, text[position:]])
