"""Creates SQLite's files. Cheap to import: no database library."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def create_private_file(path: Path, fill: Callable[[Path], None] | None = None) -> None:
    """Create a file that its owner alone can read, and its folder; nothing where it exists.

    A file that exists is never opened: closing any descriptor of it would drop the locks that all SQLite connections of
    this process have on it. Another process that closes its own connection would take itself for the last one then, and
    delete the log to which these go on writing. So the file is made under another name, and renamed once it is closed.

    Args:
        path: Where it will be.
        fill: Writes the file before others can see it, given where it is until then; empty without.

    Raises:
        OSError: It cannot be created.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    os.close(descriptor)
    try:
        if fill is not None:
            fill(Path(name))
        with suppress(FileExistsError):
            os.link(name, path)
    finally:
        Path(name).unlink()
