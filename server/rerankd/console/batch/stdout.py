"""Outcomes on standard output, for pipes. Such a run cannot be resumed."""

from __future__ import annotations

import os
import sys
from typing import Final

import msgspec

from rerankd.console.batch.outcomes import Outcome
from rerankd.console.errors import CommandError

_encode: Final = msgspec.json.Encoder().encode


class StandardOutput:
    """Writes outcomes to standard output; has the interface of `Journal`."""

    is_complete: Final = False
    finished: Final = frozenset[int]()

    def append(self, outcome: Outcome) -> None:
        """Write and flush an outcome.

        Raises:
            CommandError: The pipe was closed.
        """
        try:
            sys.stdout.buffer.write(_encode(outcome) + b"\n")
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            # Otherwise Python reports the closed pipe again when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise CommandError("standard output was closed before the batch ended") from None

    def close(self, *, is_complete: bool) -> None:
        """Do nothing; the stream belongs to the process."""
