"""The channel to one server, replaced when its settings change, as when certificates are rotated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import grpc

from rerankd_adapters.grpc_upstream.channel import Address, ChannelSettings, open_channel

_CONNECT_S: Final = 2.0
"""Longest wait of a call for a new channel while the old one is connected, over which it then goes."""
_RECONNECT_S: Final = 6.0
"""Longest wait of a call for either; longer than `ChannelSettings.max_reconnect_s`."""


@dataclass(slots=True, eq=False)
class OpenChannel:
    """A channel and the calls on it."""

    channel: grpc.aio.Channel
    settings: ChannelSettings
    calls: int = 0
    is_retired: bool = False

    async def leave(self) -> None:
        """End a call; the last one on a channel that was replaced closes it."""
        self.calls -= 1
        if self.is_retired and not self.calls:
            await self.channel.close()


class ChannelSource:
    """Opens the channel with the first call, and a new one when the settings change.

    The new channel takes over once it is connected; until then, and as long as it cannot connect, calls go over the old
    one. Calls under way end where they began. Safe for any number of tasks of one event loop.

    Args:
        address: Of the server.
        settings: Returns the options as they are now: the same object until they change.
    """

    def __init__(self, address: Address, settings: Callable[[], ChannelSettings]) -> None:
        self._address = address
        self._settings = settings
        self._current: OpenChannel | None = None
        self._next: OpenChannel | None = None
        self._taking_over: asyncio.Task[None] | None = None
        self._is_settled = asyncio.Event()
        """Set while calls need not wait for `_next`: it has taken over, or could not connect."""
        self._retired: set[OpenChannel] = set()

    async def enter(self) -> OpenChannel:
        """Return the channel for a call, which leaves it when it has ended."""
        settings = self._settings()
        if self._current is None:
            self._current = OpenChannel(open_channel(self._address, settings), settings)
        elif settings is not (self._next or self._current).settings:
            await self._replace(settings)
        if self._next is not None:
            await self._wait(self._current)
        current = self._current
        current.calls += 1
        return current

    async def close(self) -> None:
        """Close all channels; calls on them are cancelled."""
        abandoned = self._next, self._taking_over
        self._next = self._taking_over = None
        self._is_settled.set()
        await _close(*abandoned)
        for each in (self._current, *self._retired):
            if each is not None:
                await each.channel.close()
        self._retired.clear()

    async def _replace(self, settings: ChannelSettings) -> None:
        following = OpenChannel(open_channel(self._address, settings), settings)
        abandoned, self._next = (self._next, self._taking_over), following
        self._is_settled.clear()
        self._taking_over = asyncio.create_task(self._take_over(following))
        await _close(*abandoned)

    async def _wait(self, current: OpenChannel) -> None:
        """Wait for the next channel if it was not tried yet, or for either if the current one is not connected."""
        try:
            async with asyncio.timeout(_CONNECT_S):
                await self._is_settled.wait()
            async with asyncio.timeout(_RECONNECT_S):
                await self._connected(current)
        except TimeoutError:
            self._is_settled.set()

    async def _connected(self, current: OpenChannel) -> None:
        while (taking_over := self._taking_over) is not None:
            state = current.channel.get_state(try_to_connect=True)
            if state is grpc.ChannelConnectivity.READY:
                return
            changed = asyncio.ensure_future(current.channel.wait_for_state_change(state))
            await asyncio.wait([taking_over, changed], return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()

    async def _take_over(self, following: OpenChannel) -> None:
        """Let a channel be the current one when it is connected."""
        channel = following.channel
        while (state := channel.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.READY:
            if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                self._is_settled.set()
            await channel.wait_for_state_change(state)
        old, self._current, self._next, self._taking_over = self._current, following, None, None
        self._is_settled.set()
        if old is not None:
            await self._retire(old)

    async def _retire(self, old: OpenChannel) -> None:
        old.is_retired = True
        self._retired = {each for each in self._retired if each.calls}
        if old.calls:
            self._retired.add(old)
        else:
            await old.channel.close()


async def _close(channel: OpenChannel | None, task: asyncio.Task[None] | None) -> None:
    """Close a channel that has not taken over."""
    if task is not None:
        task.cancel()
        await asyncio.wait([task])
    if channel is not None:
        await channel.channel.close()
