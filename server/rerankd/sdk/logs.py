"""Log entries of the engine in somebody else's program."""

from __future__ import annotations

import logging
from typing import Any

import structlog


def quieten_logs() -> None:
    """Send our log entries to the standard library's loggers `rerankd.*`, unless the program has set structlog up.

    By itself structlog prints every entry on standard output. Loggers of the program's own keep that behaviour.
    """
    logging.getLogger("rerankd").addHandler(logging.NullHandler())
    if not structlog.is_configured():
        structlog.configure(logger_factory=_logger_of)


def _logger_of(*names: Any) -> Any:
    if names and str(names[0]).partition(".")[0] == "rerankd":
        return logging.getLogger(names[0])
    return structlog.PrintLogger()
