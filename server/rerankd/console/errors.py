"""How a command ends when it does not end well: one message, a hint, an exit code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130


@dataclass(eq=False)
class CommandError(Exception):
    """The command cannot go on; what is printed is `message` and `hint`, on standard error."""

    message: str
    """What went wrong, naming values."""
    hint: str = ""
    """What to do about it; may be empty."""
    exit_code: int = FAILED
    """`FAILED` or `USAGE`."""

    def __post_init__(self) -> None:
        super().__init__(self.message)
