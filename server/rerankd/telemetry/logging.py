"""Structured logs: JSON for machines, colours on a terminal. Never secrets, never document text."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, MutableMapping, Sequence
from functools import lru_cache
from typing import Any, Final, Literal, Protocol, TextIO

import msgspec
import structlog

from rerankd.telemetry.settings import LogSettings

PIPE_BYTES: Final = 4096
"""Written to a pipe in one piece; longer writes of several processes may interleave."""
_encode: Final = msgspec.json.Encoder(enc_hook=repr).encode


class _Output:
    """Where the lines of this process go."""

    file: TextIO | None = None
    """`None` until logging is configured."""
    level = logging.INFO
    """Least severe level that is written."""
    processors: Sequence[Any] = ()
    """Of structlog, as configured here; `structlog.testing.capture_logs` replaces the contents of the list."""
    label_text = b"{"
    """How a line begins in JSON: the labels of the process."""


_output = _Output()
_labels: dict[str, Any] = {}


class CallFields(Protocol):
    """The fields of a call's line: a msgspec struct, event and level among its fields."""

    level: Literal["info", "warning"]


def write_calls(calls: Sequence[CallFields]) -> None:
    """Write the lines of calls. JSON bypasses structlog, through which a line costs three times as much."""
    file = _output.file
    if file is None or not _output.processors or _output.processors[-1] is not _render_json:
        for call in calls:
            fields = msgspec.to_builtins(call)
            log = structlog.get_logger("rerankd.call")
            (log.info if fields.pop("level") == "info" else log.warning)(fields.pop("event"), **fields)
        return
    takes_info, start = _output.level <= logging.INFO, _output.label_text
    lines = (start + _encode(call)[1:] + b"\n" for call in calls if takes_info or call.level == "warning")
    for piece in pack(lines, PIPE_BYTES):
        file.write(piece.decode())
        file.flush()


def pack(lines: Iterable[bytes], max_bytes: int) -> Iterable[bytes]:
    """Join lines, in order, to pieces of at most `max_bytes`; a longer line is a piece by itself."""
    piece: list[bytes] = []
    size = 0
    for line in lines:
        if piece and size + len(line) > max_bytes:
            yield b"".join(piece)
            piece, size = [], 0
        piece.append(line)
        size += len(line)
    if piece:
        yield b"".join(piece)


def label_process(**labels: Any) -> None:
    """Add `labels` to every line of this process from now on."""
    _labels.update(labels)
    _output.label_text = _encode(_labels)[:-1] + b","


def timestamp(unix_s: float) -> str:
    """Format a time, seconds since 1970, as ISO 8601 in UTC with microseconds."""
    whole_s, micros = divmod(int(unix_s * 1_000_000), 1_000_000)
    return f"{_format_second(whole_s)}.{micros:06}Z"


@lru_cache(4)
def _format_second(unix_s: int) -> str:
    """Format a whole second, which many lines share."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(unix_s))


def _add_common_fields(_logger: Any, level: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add labels, level and time: one processor instead of three, since each call of one costs as much as its work."""
    for name, value in _labels.items():
        event.setdefault(name, value)
    event["level"] = level
    if "timestamp" not in event:
        event["timestamp"] = timestamp(time.time())
    return event


def _render_json(logger: Any, level: str, event: MutableMapping[str, Any]) -> str:
    if "exc_info" in event:
        event = structlog.processors.format_exc_info(logger, level, event)
    return _encode(event).decode()


def configure_logging(settings: LogSettings) -> None:
    """Set up structlog and route the standard library's loggers (uvicorn, grpc) through it. May be called again."""
    is_pretty = settings.format == "pretty" or (settings.format == "auto" and sys.stderr.isatty())
    level = getattr(logging, settings.level.upper())
    renderer: Any = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback) if is_pretty else _render_json
    )
    file = _output.file = sys.stderr
    _output.level, _output.processors = level, [_add_common_fields, renderer]
    structlog.configure(
        processors=_output.processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=file),
        cache_logger_on_first_use=False,  # a module's logger must follow when logging is configured again
    )
    handler = logging.StreamHandler(file)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_add_common_fields],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))
