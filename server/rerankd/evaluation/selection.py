"""What a caller asks of an experiment, checked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from rerankd.contract import evaluation_messages as messages
from rerankd.contract.errors import FieldViolation, invalid_request
from rerankd.evaluation.measures.ranking import DEPTH
from rerankd.runs.run_filter import RunFilter

MAX_RUNS: Final = 2000
DEFAULT_RUNS: Final = 200
DEFAULT_CONCURRENCY: Final = 4
_MAX_CONCURRENCY: Final = 32
MAX_DEPTH: Final = 1000
_MAX_CHARS: Final = 200
_NAMES: Final = ("model", "reranker", "key_id", "user", "source")
_SOURCES: Final = ("", "api", "grpc", "batch", "playground")


def check_experiment(request: messages.CreateExperimentRequest) -> None:
    """Check a request.

    Raises:
        ServiceError: `INVALID_REQUEST` with every field that cannot be used.
    """
    runs = request.runs or messages.RunSelection()
    found = [
        *_text("name", request.name),
        *_text("candidate", request.candidate),
        *(violation for name in _NAMES for violation in _text(f"runs.{name}", getattr(runs, name))),
        *_range("depth", request.depth, MAX_DEPTH),
        *_range("concurrency", request.concurrency, _MAX_CONCURRENCY),
        *_range("runs.max_runs", runs.max_runs, MAX_RUNS),
    ]
    if runs.source not in _SOURCES:
        found.append(FieldViolation("runs.source", f"runs.source must be one of {', '.join(_SOURCES[1:])}"))
    if found:
        raise invalid_request(found)


def check_depth(depth: int | None) -> int:
    """Return a depth, 10 where none is given.

    Raises:
        ServiceError: `INVALID_REQUEST`.
    """
    if found := list(_range("depth", depth, MAX_DEPTH)):
        raise invalid_request(found)
    return DEPTH if depth is None else depth


def filter_of(runs: messages.RunSelection) -> RunFilter:
    """Return the conditions of runs that were answered."""
    names = {name: getattr(runs, name) for name in _NAMES}
    return RunFilter(status="ok", started_from=_seconds(runs.from_time), started_to=_seconds(runs.to_time), **names)


def stored_selection(runs: messages.RunSelection) -> dict[str, Any]:
    """Return what an experiment keeps of its selection; `message_conversion.selection_message` reads it."""
    kept: dict[str, Any] = {name: value for name in _NAMES if (value := getattr(runs, name))}
    times = {"from_time": _seconds(runs.from_time), "to_time": _seconds(runs.to_time)}
    kept |= {name: value for name, value in times.items() if value is not None}
    return kept | {"max_runs": DEFAULT_RUNS if runs.max_runs is None else runs.max_runs}


def _text(field: str, value: str) -> Iterator[FieldViolation]:
    if len(value) > _MAX_CHARS or "\0" in value:
        yield FieldViolation(field, f"{field} must have at most {_MAX_CHARS} characters, none of them NUL")


def _range(field: str, value: int | None, most: int) -> Iterator[FieldViolation]:
    if value is not None and not 1 <= value <= most:
        yield FieldViolation(field, f"{field} must be 1 to {most}, was {value}")


def _seconds(time: datetime | None) -> float | None:
    return None if time is None else time.timestamp()
