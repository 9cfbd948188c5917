"""Opens the store for commands that need no server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from rerankd.console.errors import CommandError
from rerankd.settings import Settings
from rerankd.store.database import Database
from rerankd.store.errors import StoreError

T = TypeVar("T")


def has_store(settings: Settings) -> bool:
    """Whether there may be something stored; a SQLite file that does not exist has nothing, and need not be made."""
    return not settings.store.is_sqlite or settings.store.sqlite_path().exists()


def with_database(settings: Settings, use: Callable[[Database], Awaitable[T]]) -> tuple[str, T]:
    """Run a coroutine with the database of the settings, which is closed afterwards; it is not migrated.

    Returns:
        The database's name, and what the coroutine returned.

    Raises:
        CommandError: The store cannot be used.
    """

    async def run() -> tuple[str, T]:
        database = Database(settings.store)
        try:
            return database.name, await use(database)
        finally:
            await database.close()

    try:
        return asyncio.run(run())
    except StoreError as error:
        raise CommandError(str(error)) from None
