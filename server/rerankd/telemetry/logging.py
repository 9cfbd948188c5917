"""Structured logs: JSON for machines, colours on a terminal. Never secrets, never document text."""

from __future__ import annotations

import logging
import random
import sys
import time
from collections.abc import MutableMapping, Sequence
from functools import lru_cache
from typing import Any, Final, Literal, Protocol, TextIO, cast

import msgspec
import structlog

from rerankd.telemetry.lines import Lines
from rerankd.telemetry.settings import LogSettings

_CALM: Final = frozenset({"debug", "info"})
"""Levels of lines that may wait a moment."""
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


class _Output:
    """Where the lines of this process go."""

    lines: Lines | None = None
    level = logging.INFO
    """Lowest that is written."""
    processors: Sequence[Any] = ()
    """Of structlog, as configured here; whoever captures lines empties the list."""
    label_text = "{"
    """How a line begins in JSON: the labels of the process."""


_output = _Output()
_labels: dict[str, Any] = {}


class CallFacts(Protocol):
    """What the line of a call says: a msgspec struct, the event and the level among its fields."""

    level: Literal["info", "warning"]


def write_call(facts: CallFacts) -> None:
    """Write the line of a call. JSON goes straight to its file: through structlog a line costs three times as much."""
    lines = _output.lines
    if lines is None or not _output.processors or _output.processors[-1] is not _render_json:
        told = msgspec.to_builtins(facts)
        log = structlog.get_logger("rerankd.call")
        (log.info if told.pop("level") == "info" else log.warning)(told.pop("event"), **told)
    elif facts.level == "warning" or _output.level <= logging.INFO:
        if facts.level == "warning":
            lines.is_urgent = True
        lines.write(f"{_output.label_text}{_encode(facts).decode()[1:]}\n")
        lines.flush()


def label_process(**labels: Any) -> None:
    """Put `labels` into every line of this process from now on."""
    _labels.update(labels)
    _output.label_text = f"{_encode(_labels).decode()[:-1]},"


def timestamp(unix_s: float) -> str:
    """Write a time, seconds since 1970, as lines have it: ISO 8601 with microseconds."""
    whole_s, micros = divmod(int(unix_s * 1_000_000), 1_000_000)
    return f"{_second(whole_s)}.{micros:06}Z"


@lru_cache(4)
def _second(unix_s: int) -> str:
    """Write a second, which many lines share."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(unix_s))


def _add_facts(_logger: Any, level: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add what every line has: labels, level and time, in one step, for each costs as much as all."""
    for name, value in _labels.items():
        event.setdefault(name, value)
    event["level"] = level
    if level not in _CALM and _output.lines is not None:
        _output.lines.is_urgent = True
    if "timestamp" not in event:
        event["timestamp"] = timestamp(time.time())
    return event


def _render_json(logger: Any, level: str, event: MutableMapping[str, Any]) -> str:
    if "exc_info" in event:
        event = structlog.processors.format_exc_info(logger, level, event)
    return _encode(event).decode()


def _open_output() -> Lines:
    if _output.lines is not None:
        _output.lines.close()
    _output.lines = Lines(sys.stderr)
    return _output.lines


def configure_logging(settings: LogSettings) -> None:
    """Set up structlog and route the standard library's loggers (uvicorn, grpc) through it. May be called again."""
    _sampling.share = settings.sample
    is_pretty = settings.format == "pretty" or (settings.format == "auto" and sys.stderr.isatty())
    level = getattr(logging, settings.level.upper())
    renderer: Any = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback) if is_pretty else _render_json
    )
    lines = cast(TextIO, _open_output())
    _output.level, _output.processors = level, [_add_facts, renderer]
    structlog.configure(
        processors=_output.processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=lines),
        cache_logger_on_first_use=False,  # a module's logger must follow when it is configured again
    )
    handler = logging.StreamHandler(lines)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_add_facts],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))
