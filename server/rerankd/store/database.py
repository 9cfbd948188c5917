"""The database: SQLite in write-ahead mode, or PostgreSQL, through SQLAlchemy Core."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, MetaData, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from rerankd.store.errors import StoreError
from rerankd.store.private_file import create_private_file
from rerankd.store.settings import StoreSettings

_LOCKED: Final = "LockNotAvailable"
_ADVICE: Final = {
    _LOCKED: "another transaction held what it needs for longer than store.timeout_s; try again",
    "QueryCanceled": "a statement took longer than four times store.timeout_s; set it higher",
}
_USUAL_ADVICE: Final = "check store.url, and that it is up"

METADATA: Final = MetaData()
"""All tables; each package declares its own on it. The migrations must make the same ones."""


class Database:
    """Connections to the store. For one event loop; its creator closes it.

    Construction opens no connection and creates no file.

    Args:
        settings: Where the store is.

    Raises:
        StoreError: The URL cannot be read.
    """

    def __init__(self, settings: StoreSettings) -> None:
        self._path = settings.sqlite_path() if settings.is_sqlite else None
        try:
            url = _url_of(settings, "sqlite+aiosqlite")
            self._engine = create_async_engine(url, pool_size=settings.max_connections, **_options(settings))
        except (ArgumentError, ModuleNotFoundError) as error:
            raise StoreError(f"store.url cannot be used: {type(error).__name__}") from None
        if settings.is_sqlite:
            event.listen(self._engine.sync_engine, "connect", _prepare_sqlite)
            event.listen(self._engine.sync_engine, "invalidate", _end_transaction)
        self.name = str(self._path) if self._path else url.render_as_string(hide_password=True)
        """Path or URL, without password, for logs and messages."""

    @property
    def path(self) -> Path | None:
        """Path of the SQLite file; `None` for PostgreSQL."""
        return self._path

    @property
    def is_sqlite(self) -> bool:
        """Whether this is SQLite."""
        return self._path is not None

    def create_file(self) -> None:
        """Create the SQLite file, readable by its owner alone, and its folder; nothing where they exist.

        Raises:
            StoreError: They cannot be created.
        """
        if self._path is None:
            return
        try:
            create_private_file(self._path, _turn_on_write_ahead)
        except (OSError, sqlite3.Error) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise StoreError(f"{self._path} cannot be written: {reason}; set store.state_dir or store.url") from None

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """Run a transaction; it is rolled back when its body raises.

        Raises:
            StoreError: The database cannot be reached, or refused a statement.
        """
        try:
            async with self._engine.begin() as connection:
                yield connection
        except (SQLAlchemyError, OSError) as error:
            raise _unusable(self.name, error) from error

    @asynccontextmanager
    async def begin_exclusive(self) -> AsyncIterator[AsyncConnection]:
        """Run a transaction beside which no other one of this kind runs, in whatever process.

        Raises:
            StoreError: As `begin`.
        """
        async with self.begin() as connection:
            await connection.execute(text("BEGIN IMMEDIATE" if self.is_sqlite else _ADVISORY_LOCK))
            yield connection

    async def close(self) -> None:
        """Close all connections."""
        await self._engine.dispose()


class BlockingDatabase:
    """One connection to a store that has been migrated, for one thread; its creator closes it.

    A writer in a thread of its own needs no event loop, which costs more than the statements of a small transaction.

    Args:
        settings: Where the store is; accepted by `Database`.
        is_durable: Whether a commit to SQLite outlives a power cut, not only the end of the process.
    """

    def __init__(self, settings: StoreSettings, *, is_durable: bool = False) -> None:
        url = _url_of(settings, "sqlite")
        self._engine: Engine = create_engine(url, pool_size=1, **_options(settings))
        self._name = url.render_as_string(hide_password=True)
        if settings.is_sqlite:
            event.listen(self._engine, "connect", _prepare_sqlite)
            if is_durable:
                event.listen(self._engine, "connect", _sync_every_commit)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Run a transaction; it is rolled back when its body raises.

        Raises:
            StoreError: The database cannot be reached, or refused a statement.
        """
        try:
            with self._engine.begin() as connection:
                yield connection
        except (SQLAlchemyError, OSError) as error:
            raise _unusable(self._name, error) from error

    def close(self) -> None:
        """Close the connection."""
        self._engine.dispose()


_ADVISORY_LOCK: Final = "SELECT pg_advisory_xact_lock(7305462519338153061)"


def _unusable(name: str, error: Exception) -> StoreError:
    # The driver's own text may quote values of a statement, so the kind of error is all that is shown.
    cause = getattr(error, "orig", None) or error
    kind = type(cause).__name__
    if getattr(cause, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
        kind = _LOCKED
    return StoreError(f"the store {name} cannot be used ({kind}); {_ADVICE.get(kind, _USUAL_ADVICE)}")


def _url_of(settings: StoreSettings, sqlite_driver: str) -> URL:
    if settings.is_sqlite:
        return URL.create(sqlite_driver, database=str(settings.sqlite_path()))
    return make_url(settings.url).set(drivername="postgresql+psycopg")


def _options(settings: StoreSettings) -> dict[str, Any]:
    timeout_s = settings.timeout_s
    options: dict[str, Any] = {"max_overflow": 0, "pool_timeout": timeout_s}
    options["hide_parameters"] = True  # digests of keys, in messages of errors
    if settings.is_sqlite:
        return {**options, "connect_args": {"timeout": timeout_s}}
    waits_ms = int(timeout_s * 1000)
    connect = {
        "connect_timeout": max(2, round(timeout_s)),  # seconds; libpq takes whole ones, at least 2
        "options": f"-c lock_timeout={waits_ms} -c statement_timeout={4 * waits_ms}",
    }
    return {**options, "connect_args": connect, "pool_pre_ping": True}


def _turn_on_write_ahead(path: Path) -> None:
    # SQLite does not wait for other connections to change the mode: those that did at once failed as "locked". So the
    # file has it before a second connection can open it.
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def _prepare_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    # `_turn_on_write_ahead` is for files that this code makes; an operator may have made an empty one.
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _end_transaction(connection: Any, _record: object, _error: BaseException | None) -> None:
    """End the transaction of a task that was cancelled, before its connection is closed.

    A connection that is closed while one of its statements is referred to, as by the traceback of the cancellation,
    keeps its transaction, and with it the lock that all writers need, until garbage is collected.
    """
    with suppress(SQLAlchemyError, asyncio.CancelledError):  # its thread rolls back though the task is cancelled again
        connection.rollback()


def _sync_every_commit(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA synchronous=FULL")
