"""Exit codes, and the error that a command ends with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130


@dataclass(eq=False)
class CommandError(Exception):
    """A failed command. `message` and `hint` are printed on standard error."""

    message: str
    """What failed, with the values involved."""
    hint: str = ""
    """What to do; may be empty."""
    exit_code: int = FAILED
    """`FAILED` or `USAGE`."""

    def __post_init__(self) -> None:
        super().__init__(self.message)
