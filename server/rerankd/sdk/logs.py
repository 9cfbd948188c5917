"""Logging of the engine inside a host program."""

from __future__ import annotations

import logging
from typing import Any, Final

import structlog

_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}


def quieten_logs() -> None:
    """Route log entries of `rerankd.*` to the standard library's loggers, unless the program has configured structlog.

    Unconfigured, structlog prints every entry to standard output. The program's own structlog loggers still do.
    """
    logging.getLogger("rerankd").addHandler(logging.NullHandler())
    if not structlog.is_configured():
        structlog.configure([_drop_unwanted, *structlog.get_config()["processors"]], logger_factory=_logger_of)


def _logger_of(*names: Any) -> Any:
    if names and str(names[0]).partition(".")[0] == "rerankd":
        return logging.getLogger(names[0])
    return structlog.PrintLogger()


def _drop_unwanted(logger: Any, level: str, entry: object) -> Any:
    """Drop an entry below the logger's level before it is rendered."""
    if isinstance(logger, logging.Logger) and not logger.isEnabledFor(_LEVELS.get(level, logging.ERROR)):
        raise structlog.DropEvent
    return entry
