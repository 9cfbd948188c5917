"""Warns at start-up where nothing can be stored, or where the store does not outlive the pod."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import structlog

from rerankd.store.settings import StoreSettings

_ADVICE: Final = "set store.url to a PostgreSQL, or mount a volume and name it in store.state_dir"
_IN_POD: Final = "KUBERNETES_SERVICE_HOST"
_log: Final = structlog.get_logger("rerankd.serving")


def note_store(settings: StoreSettings, environment: Mapping[str, str]) -> None:
    """Log one line if nothing can be stored, or if what is stored goes with the pod.

    Args:
        settings: Where the store is; nothing is created.
        environment: Variables of the process.
    """
    if not settings.is_sqlite:
        return
    path = settings.sqlite_path()
    if problem := write_problem(path):
        _log.warning(
            "nothing can be stored: calls are answered, but no run is logged, and stored rerankers, API keys, "
            "judgements and spend cannot be kept",
            problem=f"{path} cannot be written: {problem}",
            advice=_ADVICE,
        )
    elif environment.get(_IN_POD) and not settings.url and not settings.state_dir:
        _log.info(
            "runs, stored rerankers, API keys, judgements and spend are kept in this pod alone: other replicas do not "
            "see them, and they go with it",
            path=str(path),
            advice=_ADVICE,
        )


def write_problem(path: Path) -> str:
    """Return why a file cannot be written, or created with its folders; empty if it can."""
    try:
        while not path.exists():
            path = path.parent
            if path.exists() and not path.is_dir():
                return os.strerror(errno.ENOTDIR)
    except OSError as error:
        return error.strerror or type(error).__name__
    mode = os.W_OK | os.X_OK if path.is_dir() else os.W_OK
    if os.access(path, mode):
        return ""
    is_read_only = os.statvfs(path).f_flag & os.ST_RDONLY
    return os.strerror(errno.EROFS if is_read_only else errno.EACCES)
