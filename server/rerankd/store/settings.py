"""Settings of the store. Cheap to import: no database library."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

POSTGRES_SCHEMES: Final = ("postgresql", "postgres", "postgresql+psycopg")
SQLITE_SCHEMES: Final = ("sqlite", "sqlite+aiosqlite")
FILE_NAME: Final = "rerankd.db"


class StoreSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where API keys, runs and what else outlives a process are kept. Nothing is created until something needs it."""

    url: str = ""
    """`postgresql://user:password@host:5432/database`, which replicas share, or `sqlite:///path`. Empty: SQLite in
    `state_dir`."""
    state_dir: str = ""
    """Folder of the files `rerankd.db`, `limits.counts` and `session-secret`. Empty: `STATE_DIRECTORY`, as systemd sets
    it, else `rerankd` in `XDG_STATE_HOME`, else `~/.local/state/rerankd`."""
    timeout_s: float = 5.0
    """Longest time a statement waits for a connection or for a lock, in seconds."""
    max_connections: int = 5
    """Most connections of one worker process to the database."""

    @property
    def is_sqlite(self) -> bool:
        """Whether the store is a SQLite file."""
        return not self.url or urlsplit(self.url).scheme in SQLITE_SCHEMES

    def sqlite_path(self) -> Path:
        """Return the path of the SQLite file."""
        if self.url:
            return Path(urlsplit(self.url).path[1:]).expanduser()
        return self.state_directory() / FILE_NAME

    def state_directory(self) -> Path:
        """Return the folder of files that outlive a process."""
        if given := self.state_dir or os.environ.get("STATE_DIRECTORY", "").partition(":")[0]:
            return Path(given).expanduser()
        base = os.environ.get("XDG_STATE_HOME")
        return (Path(base) if base else Path("~/.local/state").expanduser()) / "rerankd"

    def problems(self, path: str = "store") -> list[str]:
        """Say what cannot be used, one sentence each.

        Args:
            path: Where these settings stand.
        """
        found = []
        if self.url:
            found += [f"{path}.url {problem}" for problem in _problems_of_url(self.url)]
        if not self.timeout_s > 0:
            found.append(f"{path}.timeout_s must be above 0, is {self.timeout_s:g}")
        if self.max_connections < 1:
            found.append(f"{path}.max_connections must be at least 1, is {self.max_connections}")
        return found


def _problems_of_url(url: str) -> list[str]:
    try:
        parts = urlsplit(url)
        is_usable = (parts.scheme in POSTGRES_SCHEMES and (parts.port is None or parts.port > 0)) or (
            parts.scheme in SQLITE_SCHEMES and len(parts.path) > 1 and not parts.netloc
        )
    except ValueError:
        is_usable = False
    if not is_usable:
        return ["must be postgresql://user:password@host:port/database or sqlite:///path"]
    if urlsplit(url).scheme in POSTGRES_SCHEMES and find_spec("psycopg") is None:
        return ["needs a library that is not installed; install rerankd[postgres]"]
    return []
