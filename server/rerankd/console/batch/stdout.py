"""Outcomes on standard output, for pipes. There is nothing to go on with after such a run."""

from __future__ import annotations

import os
import sys
from typing import Final

import msgspec

from rerankd.console.batch.outcomes import Outcome
from rerankd.console.errors import CommandError

_encode: Final = msgspec.json.Encoder().encode


class StandardOutput:
    """Takes the place of a `Journal`."""

    is_complete: Final = False
    finished: Final = frozenset[int]()

    def append(self, outcome: Outcome) -> None:
        """Write an outcome, for the next program in the pipe to read at once."""
        try:
            sys.stdout.buffer.write(_encode(outcome) + b"\n")
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            # Python would complain of it once more when it flushes at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise CommandError("standard output was closed before the batch ended") from None

    def close(self, *, is_complete: bool) -> None:
        """Do nothing: the stream is the process's."""
