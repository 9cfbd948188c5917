"""Logs a lasting fault twice: when it begins, and when it is over."""

from __future__ import annotations

from structlog.typing import FilteringBoundLogger


class FaultLog:
    """Says that something goes wrong when it begins to, and that it works again, however often it is tried meanwhile.

    Args:
        log: Takes the lines.
        begins: Event of the first failure, a warning.
        ends: Event of the next success.
        **fields: Fields of both lines.
    """

    def __init__(self, log: FilteringBoundLogger, begins: str, ends: str, **fields: object) -> None:
        self._log = log
        self._begins = begins
        self._ends = ends
        self._fields = fields
        self.lasts = False
        """Whether the last try failed."""

    def failed(self, problem: Exception | str = "") -> None:
        """Note a failure.

        Args:
            problem: What to say of it: a sentence, or an exception, by its text or its type; empty: nothing.
        """
        if not self.lasts:
            said = str(problem) or ("" if isinstance(problem, str) else type(problem).__name__)
            self._log.warning(self._begins, **self._fields, **({"problem": said} if said else {}))
        self.lasts = True

    def succeeded(self) -> None:
        """Note a success."""
        if self.lasts:
            self._log.info(self._ends, **self._fields)
        self.lasts = False
