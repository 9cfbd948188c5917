"""Takes new settings up while the service runs: on SIGHUP, and when a file they are made of has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

import structlog

from rerankd.configuration.changes import is_within
from rerankd.configuration.watch import FileWatch, Stamp, stamps
from rerankd.settings import Settings, SettingsError, SettingsOrigin, Update
from rerankd.telemetry.logging import configure_logging

POLL_S: Final = 1.0
"""Seconds between two looks at the files."""

_log = structlog.get_logger("rerankd.serving.reload")


class Reloader:
    """Reads the settings again and hands them to the service. For one event loop.

    Args:
        origin: Where the settings come from.
        apply: Takes new settings up; raises `SettingsError`, with everything as it was, when they cannot be used.
        poll_s: Seconds between two looks at the files.
    """

    def __init__(
        self, origin: SettingsOrigin, apply: Callable[[Settings], Awaitable[Update]], *, poll_s: float = POLL_S
    ) -> None:
        self._origin = origin
        self._apply = apply
        self._poll_s = poll_s
        self._asked = asyncio.Event()
        self._watch = FileWatch()

    def ask(self) -> None:
        """Reload soon, whether or not a file has changed."""
        self._asked.set()

    async def catch_up(self) -> None:
        """Take up what has changed since the settings were read first, and watch from here on."""
        await self._reload(is_asked=False)

    async def run(self) -> None:
        """Reload whenever there is a reason to, until cancelled. Never raises for settings that are no good."""
        while True:
            try:
                async with asyncio.timeout(self._poll_s):
                    await self._asked.wait()
                self._asked.clear()
                await self._reload(is_asked=True)
            except TimeoutError:
                if self._watch.look(await asyncio.to_thread(self._stamps)):
                    await self._reload(is_asked=False)

    async def _reload(self, *, is_asked: bool) -> None:
        try:
            found, settings = await asyncio.to_thread(self._read)
            self._watch.mark(found)
            update = await self._apply(settings)
        except SettingsError as error:
            _log.warning("settings not reloaded; the old ones stay in force", problems=error.problems)
            return
        except Exception:
            _log.exception("settings not reloaded; the old ones stay in force")
            return
        if any(is_within(path, ("log",)) for path in update.changed):
            configure_logging(update.settings.log)
        if update.changed:
            _log.info("settings reloaded", source=settings.source, changed=update.changed)
        if update.needs_restart:
            _log.warning("settings changed that need a restart", needs_restart=update.needs_restart)
        if is_asked and not update.changed and not update.needs_restart:
            _log.info("settings unchanged", source=settings.source)

    def _stamps(self) -> Mapping[Path, Stamp]:
        return stamps(self._origin.files())

    def _read(self) -> tuple[Mapping[Path, Stamp], Settings]:
        """Read the settings; their files' state is taken first, so that a later change is never missed."""
        found = self._stamps()
        try:
            return found, self._origin.read()
        except SettingsError:
            self._watch.mark(found)
            raise
