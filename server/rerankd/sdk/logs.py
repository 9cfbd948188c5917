"""Log entries of the engine in somebody else's program."""

from __future__ import annotations

import logging
from typing import Any, Final

import structlog

_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}


def quieten_logs() -> None:
    """Send our log entries to the standard library's loggers `rerankd.*`, unless the program has set structlog up.

    By itself structlog prints every entry on standard output. Loggers of the program's own keep that behaviour.
    """
    logging.getLogger("rerankd").addHandler(logging.NullHandler())
    if not structlog.is_configured():
        structlog.configure([_drop_unwanted, *structlog.get_config()["processors"]], logger_factory=_logger_of)


def _logger_of(*names: Any) -> Any:
    if names and str(names[0]).partition(".")[0] == "rerankd":
        return logging.getLogger(names[0])
    return structlog.PrintLogger()


def _drop_unwanted(logger: Any, level: str, entry: Any) -> Any:
    """Spare the rendering of an entry of ours that nobody listens to."""
    if isinstance(logger, logging.Logger) and not logger.isEnabledFor(_LEVELS.get(level, logging.ERROR)):
        raise structlog.DropEvent
    return entry
