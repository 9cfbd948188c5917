"""The SQLite file under several connections of one process and others of other processes."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from rerankd.store.database import Database
from rerankd.store.errors import StoreError
from rerankd.store.migrating import open_store
from rerankd.store.settings import StoreSettings

COUNT = "SELECT value FROM change_counters WHERE name = 'api_keys'"
READ = f'import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute("{COUNT}").fetchone())'


def read_elsewhere(path: Path) -> int:
    """Open the file in another process, read and close it, as a command beside a server does."""
    done = subprocess.run([sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=True)
    return int(done.stdout)


async def test_opening_the_store_again_leaves_the_locks_of_open_connections_alone(tmp_path: Path) -> None:
    """Closing any descriptor of a file drops all of a process's locks on it.

    Another process then takes itself for the last one, and deletes the log that this one goes on writing to.
    """
    settings = StoreSettings(state_dir=str(tmp_path))
    first, second = Database(settings), Database(settings)
    await open_store(first)
    await open_store(second)
    for count in range(1, 4):
        read_elsewhere(settings.sqlite_path())
        async with first.begin() as connection:
            await connection.execute(text("UPDATE change_counters SET value = value + 1 WHERE name = 'api_keys'"))
        assert read_elsewhere(settings.sqlite_path()) == count
    await first.close()
    await second.close()


def test_a_new_file_is_its_owners_alone_and_an_old_one_stays(tmp_path: Path) -> None:
    database = Database(StoreSettings(state_dir=str(tmp_path / "state")))
    database.create_file()
    assert database.path is not None
    assert stat.S_IMODE(database.path.stat().st_mode) == 0o600
    database.path.write_bytes(b"kept")
    database.path.chmod(0o640)
    database.create_file()
    assert database.path.read_bytes() == b"kept"
    assert stat.S_IMODE(database.path.stat().st_mode) == 0o640
    assert list(database.path.parent.iterdir()) == [database.path]


def test_a_new_file_is_in_write_ahead_mode_before_its_first_connection(tmp_path: Path) -> None:
    """Connections that change the mode at once do not wait for each other: some would fail as locked."""
    database = Database(StoreSettings(state_dir=str(tmp_path)))
    database.create_file()
    assert database.path is not None
    with closing(sqlite3.connect(database.path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written: Not a directory; set"):
        Database(StoreSettings(state_dir=str(tmp_path / "file" / "state"))).create_file()
