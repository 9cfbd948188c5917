"""Structured logs: JSON for machines, colours on a terminal. Never secrets, never document text."""

from __future__ import annotations

import logging
import random
import sys
from typing import Any, Final

import msgspec
import structlog

from rerankd.telemetry.options import LogSettings

_encode: Final = msgspec.json.Encoder(enc_hook=repr).encode


class _Sampling:
    share = 1.0
    slow_call_ms = 0.0


_sampling = _Sampling()


def is_logged(latency_ms: float) -> bool:
    """Whether a call that went well, and took so long, gets a line in the log."""
    share, slow_ms = _sampling.share, _sampling.slow_call_ms
    return share >= 1 or 0 < slow_ms <= latency_ms or random.random() < share  # noqa: S311 - no secret depends on it


def log_slow_calls(slow_call_ms: float) -> None:
    """Log every call that takes longer, whatever the sampling says; 0 for none."""
    _sampling.slow_call_ms = slow_call_ms


def _to_json(event: Any, **_options: Any) -> str:
    return _encode(event).decode()


def configure_logging(settings: LogSettings) -> None:
    """Set up structlog and route the standard library's loggers (uvicorn, grpc) through it. May be called again."""
    _sampling.share = settings.sample
    is_pretty = settings.format == "pretty" or (settings.format == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    level = getattr(logging, settings.level.upper())
    renderer: Any = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if is_pretty
        else structlog.processors.JSONRenderer(serializer=_to_json)
    )
    tail = [renderer] if is_pretty else [structlog.processors.format_exc_info, renderer]
    structlog.configure(
        processors=[*shared, *tail],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,  # a module's logger must follow when it is configured again
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *tail],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))
