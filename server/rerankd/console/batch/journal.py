"""Append-only journal of batch outcomes, so that a killed run can be resumed.

Every outcome is one line, written immediately and never changed, so a crash leaves complete lines and at most one
partial line. Plain JSON Lines are written directly to the output file. For other formats the lines go to a journal file
next to the output, which is converted at the end. A state file next to both identifies the batch.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from rerankd.console.batch.files import Format, format_of, open_compressed
from rerankd.console.batch.outcomes import Outcome, RecordedOutcome
from rerankd.console.batch.parquet import write_table
from rerankd.console.batch.plan import BatchPlan
from rerankd.console.batch.totals import Totals
from rerankd.console.errors import USAGE, CommandError

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(RecordedOutcome).decode


class JournalState(msgspec.Struct, kw_only=True):
    """Content of the state file."""

    version: int = 1
    input_sha256: str
    """SHA-256 of the input in hex."""
    options: dict[str, Any]
    """Command-line options that affect the outcomes."""
    is_complete: bool = False
    """Whether the output contains every item."""


class FinishedItems:
    """Bit set of the items that have an outcome."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def add(self, index: int) -> bool:
        """Add an item; return whether it is new."""
        byte, bit = index >> 3, 1 << (index & 7)
        if byte >= len(self._bits):
            self._bits.extend(bytes(byte + 1 - len(self._bits)))
        is_new = not self._bits[byte] & bit
        self._bits[byte] |= bit
        return is_new

    def __contains__(self, index: int) -> bool:
        byte = index >> 3
        return byte < len(self._bits) and bool(self._bits[byte] & 1 << (index & 7))


class Journal:
    """Appends outcomes to a file. A file lock excludes other processes.

    Args:
        plan: Options of the batch.
        state: Identity of the batch, compared with the state file.
        totals: Receives the totals of earlier runs.

    Raises:
        CommandError: The output belongs to another batch or to no batch, is locked, or cannot be written.
    """

    def __init__(self, plan: BatchPlan, state: JournalState, totals: Totals) -> None:
        self._output = plan.output
        self._format = format_of(plan.output)
        self._lines = plan.output if self._format is Format.LINES else _beside(plan.output, ".journal.jsonl")
        self._state_file = _beside(plan.output, ".batch.json")
        self._state = state
        self._totals = totals
        self.finished = FinishedItems()
        """Items that need no execution."""
        self.is_complete = False
        """Whether an earlier run completed the batch."""
        try:
            self._stream = self._open(plan)
        except OSError as error:
            raise CommandError(f"cannot write {error.filename}: {error.strerror}", exit_code=USAGE) from None

    def append(self, outcome: Outcome) -> None:
        """Write an outcome without buffering; durable against a crash of the process, not of the machine."""
        self._stream.write(_encode(outcome) + b"\n")

    def close(self, *, is_complete: bool) -> None:
        """Convert the journal to the output format if needed, and mark the batch complete."""
        os.fsync(self._stream.fileno())
        if is_complete and not self.is_complete:
            if self._format is not Format.LINES:
                self._convert()
            self._state.is_complete = True
            self._write_state()
        if is_complete and self._format is not Format.LINES and not self._totals.failed:
            # Only needed for --retry-failed.
            self._lines.unlink(missing_ok=True)
        if not is_complete and not os.fstat(self._stream.fileno()).st_size:
            # No outcome was written, so there is nothing to resume.
            for file in (self._lines, self._state_file):
                file.unlink(missing_ok=True)
        self._stream.close()

    def _open(self, plan: BatchPlan) -> IO[bytes]:
        if plan.is_resumed:
            self._check_owner()
        else:
            for file in (self._lines, self._output, self._state_file):
                file.unlink(missing_ok=True)
        stream: IO[bytes] = self._lines.open("r+b" if self._lines.exists() else "w+b", buffering=0)
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.close()
            raise CommandError(f"another batch is writing {self._output}", "wait for it, or stop it") from None
        try:
            if not self.is_complete:
                self._write_state()
            if plan.is_failed_retried:
                stream = self._without_failures(stream)
            self._read_back(stream)
        except BaseException:
            stream.close()
            raise
        return stream

    def _check_owner(self) -> None:
        """Raise if the output belongs to another batch."""
        state = self._read_state()
        if state is None:
            if self._output.exists() and self._output.stat().st_size:
                raise CommandError(
                    f"{self._output} exists and is not from an earlier run",
                    "name another output, or replace it with --no-resume",
                    USAGE,
                )
            return
        changed = [name for name, value in self._state.options.items() if state.options.get(name) != value]
        if state.input_sha256 != self._state.input_sha256:
            changed.insert(0, "the input")
        if changed:
            raise CommandError(
                f"{self._output} is from a run with other settings; changed: {', '.join(changed)}",
                "put them back to go on, name another output, or start over with --no-resume",
                USAGE,
            )
        self.is_complete = state.is_complete and self._output.exists()

    def _read_back(self, stream: IO[bytes]) -> None:
        """Read the finished items; truncate a partial last line."""
        end = 0
        with open(stream.fileno(), "rb", closefd=False) as lines:
            for number, line in enumerate(lines, 1):
                try:
                    seen = _decode(line) if line.endswith(b"\n") else None
                except msgspec.DecodeError:
                    if lines.read(1):
                        raise CommandError(
                            f"{self._lines}, line {number}, is not an outcome",
                            "the file was changed; start over with --no-resume",
                        ) from None
                    seen = None
                if seen is None:
                    break
                end += len(line)
                if self.finished.add(seen.item_index):
                    self._totals.add_earlier(seen)
        stream.truncate(end)
        stream.seek(end)

    def _without_failures(self, stream: IO[bytes]) -> IO[bytes]:
        """Replace the journal by a copy without failed items; the copy is locked too."""
        copy = _beside(self._lines, ".retry")
        target = copy.open("w+b")
        fcntl.flock(target, fcntl.LOCK_EX)
        has_failures = False
        with stream:
            with open(stream.fileno(), "rb", closefd=False) as lines:
                for line in lines:
                    with suppress(msgspec.DecodeError):
                        is_failed = bool(_decode(line).status.code)
                        has_failures |= is_failed
                        if not is_failed:
                            target.write(line)
            target.flush()
            os.fsync(target.fileno())
            if has_failures and self.is_complete:
                self.is_complete = False
                self._write_state()
            copy.replace(self._lines)
        target.close()
        replaced = self._lines.open("r+b", buffering=0)
        fcntl.flock(replaced, fcntl.LOCK_EX)
        return replaced

    def _convert(self) -> None:
        partial = _beside(self._output, ".partial")
        if self._format is Format.PARQUET:
            write_table(partial, self._rows())
        else:
            with open_compressed(partial, self._format) as target, self._lines.open("rb") as lines:
                for line in lines:
                    target.write(line)
        partial.replace(self._output)

    def _rows(self) -> Iterator[dict[str, object]]:
        with self._lines.open("rb") as lines:
            for line in lines:
                yield msgspec.json.decode(line)

    def _read_state(self) -> JournalState | None:
        try:
            return msgspec.json.decode(self._state_file.read_bytes(), type=JournalState)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError:
            hint = "delete it to forget the earlier run, or start over with --no-resume"
            raise CommandError(f"{self._state_file} is not the state of a batch", hint, USAGE) from None

    def _write_state(self) -> None:
        partial = _beside(self._state_file, ".partial")
        partial.write_bytes(_encode(self._state) + b"\n")
        partial.replace(self._state_file)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
