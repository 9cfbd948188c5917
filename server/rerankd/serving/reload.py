"""Reloads the settings on SIGHUP, and when one of their files has changed."""

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
"""Interval of polling the files, in seconds."""

_log = structlog.get_logger("rerankd.serving.reload")


class Reloader:
    """Reads the settings again and applies them to the service. For one event loop.

    Args:
        origin: Reads the settings.
        apply: Applies new settings; raises `SettingsError`, having changed nothing, if they cannot be used.
        poll_s: Interval of polling the files, in seconds.
    """

    def __init__(
        self, origin: SettingsOrigin, apply: Callable[[Settings], Awaitable[Update]], *, poll_s: float = POLL_S
    ) -> None:
        self._origin = origin
        self._apply = apply
        self._poll_s = poll_s
        self._requested = asyncio.Event()
        self._watch = FileWatch()

    def request_reload(self) -> None:
        """Reload soon, even if no file has changed."""
        self._requested.set()

    async def catch_up(self) -> None:
        """Apply changes made since the settings were first read; start watching the files."""
        await self._reload(is_requested=False)

    async def run(self) -> None:
        """Reload on request and on file changes, until cancelled. Invalid settings are logged, not raised."""
        while True:
            try:
                async with asyncio.timeout(self._poll_s):
                    await self._requested.wait()
                self._requested.clear()
                await self._reload(is_requested=True)
            except TimeoutError:
                if self._watch.look(await asyncio.to_thread(self._stamps)):
                    await self._reload(is_requested=False)

    async def _reload(self, *, is_requested: bool) -> None:
        try:
            found, settings = await asyncio.to_thread(self._read)
            self._watch.mark(found)
            update = await self._apply(settings)
        except SettingsError as error:
            _log.warning("settings not reloaded; the old ones stay in force", problems=error.problems)
            return
        except Exception:  # whatever new settings do, the old ones stay in force
            _log.exception("settings not reloaded; the old ones stay in force")
            return
        if any(is_within(path, ("log",)) for path in update.changed):
            configure_logging(update.settings.log)
        if update.changed:
            _log.info("settings reloaded", source=settings.source, changed=update.changed)
        if update.needs_restart:
            _log.warning("settings changed that need a restart", needs_restart=update.needs_restart)
        if is_requested and not update.changed and not update.needs_restart:
            _log.info("settings unchanged", source=settings.source)

    def _stamps(self) -> Mapping[Path, Stamp]:
        return stamps(self._origin.files())

    def _read(self) -> tuple[Mapping[Path, Stamp], Settings]:
        """Read the settings, after the state of their files, so that no later change is missed."""
        found = self._stamps()
        try:
            return found, self._origin.read()
        except SettingsError:
            self._watch.mark(found)
            raise
