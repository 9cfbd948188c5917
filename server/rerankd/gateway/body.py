"""Reads request bodies: whole, within a size limit, or as a stream of lines with flow control."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from rerankd.contract.errors import ServiceError
from rerankd.engine.byte_budget import FREE_BYTES, ByteBudget, HeldBytes
from rerankd.gateway.asgi import Receive
from rerankd.gateway.decoding import decode_json
from rerankd.gateway.guard import CallGuard
from rerankd.gateway.large_bodies import LARGE_BYTES, LargeBodies
from rerankd.gateway.refusal import ClientGoneError, payload_too_large

_DEFAULT_MAX_BYTES: Final = 64 * 2**20
_ITEM_LIST_DEPTH: Final = 4
"""Of `{"item": {"request": {"documents": [...]}}}`."""


@dataclass(frozen=True, slots=True)
class GatewayLimits:
    """How much the gateway reads, and for how long it waits."""

    max_body_bytes: int = _DEFAULT_MAX_BYTES
    """Longest body of a call that is not a stream."""
    max_line_bytes: int = _DEFAULT_MAX_BYTES
    """Longest line of a streamed body; the stream itself has no limit."""
    max_values: int = 1_500_000
    """Most JSON values of a body or line."""
    body_timeout_s: float = 30.0
    """Longest time in which a body must have come, and one second more for each `min_body_bytes_per_s` of it."""
    min_body_bytes_per_s: int = 64 * 1024
    """Slowest rate at which a body that takes longer may come."""


class BodyReader:
    """Reads the bodies of one gateway.

    Args:
        limits: How large they may be, and how slow.
        budget: Counts their bytes, until the call is over.
        bodies: Gives large lines their turn.
    """

    def __init__(self, limits: GatewayLimits, budget: ByteBudget, bodies: LargeBodies) -> None:
        self._limits = limits
        self._budget = budget
        self._bodies = bodies
        self._most_digits = len(str(limits.max_body_bytes))
        self._uncounted_bytes = min(FREE_BYTES, limits.max_body_bytes)

    async def read(self, receive: Receive, headers: Mapping[str, str], guard: CallGuard) -> bytes:
        """Read a whole body; a `content-length` over the limit is refused before reading.

        Args:
            receive: Gives the pieces.
            headers: Of the request.
            guard: Of the call; ends it when the body comes too slowly.

        Raises:
            HttpRefusalError: 413.
            ServiceError: `OVERLOADED` when other bodies leave no room for it.
            ClientGoneError: The client disconnected before the end of the body.
        """
        limits = self._limits
        declared = headers.get("content-length", "")
        if len(declared) >= self._most_digits and declared.isdecimal():
            self._check_declared(declared)
        pieces: list[bytes] = []
        guard.watch_body(receive, pieces, limits.body_timeout_s, limits.min_body_bytes_per_s)
        size, has_more = 0, True
        while has_more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            piece: bytes = message.get("body", b"")
            size += len(piece)
            if size > self._uncounted_bytes:
                self._hold(size, guard)
            pieces.append(piece)
            has_more = message.get("more_body", False)
        guard.body_was_read()
        body = b"".join(pieces) if len(pieces) > 1 else pieces[0]
        pieces.clear()  # the guard's timer still holds the list
        return body

    def _check_declared(self, digits: str) -> None:
        most = self._limits.max_body_bytes
        if len(digits) > self._most_digits or int(digits) > most:
            raise payload_too_large("the body", most)

    def _hold(self, size: int, guard: CallGuard) -> None:
        """Count the bytes of a body of which `size` have come."""
        if size > self._limits.max_body_bytes:
            raise payload_too_large("the body", self._limits.max_body_bytes)
        if guard.held is None:
            guard.held = self._budget.hold()
        guard.held.grow(size)

    def lines(self, receive: Receive, message_type: type[Any], guard: CallGuard) -> RequestLines:
        """Return the messages of a streamed body."""
        guard.held = self._budget.hold()
        limit = self._limits.max_line_bytes
        return RequestLines(receive, message_type, limit, bodies=self._bodies, held=guard.held)


class RequestLines:
    """The messages of an NDJSON body, read from the connection only as fast as they are consumed.

    One piece of the body is read ahead, so that a disconnect is noticed while responses are computed. A decoding
    error ends the messages and is kept in `failure`; messages before it are still yielded.
    """

    def __init__(
        self,
        receive: Receive,
        message_type: type[Any],
        max_line_bytes: int,
        *,
        bodies: LargeBodies,
        held: HeldBytes,
    ) -> None:
        self._receive = receive
        self._message_type = message_type
        self._max_line_bytes = max_line_bytes
        self._bodies = bodies
        self._held = held
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=1)
        self._broken: ServiceError | None = None
        self.taken = 0
        """Number of messages yielded."""
        self.failure: ServiceError | None = None
        """The error that ended the messages before the end of the body."""

    async def pump(self) -> None:
        """Feed the body to `messages`; returns when the client disconnects."""
        while True:
            try:
                message = await self._receive()
            except ServiceError as error:  # raised by HttpMiddleware for a broken content coding
                self._broken = error
                await self._pieces.put(None)
                continue
            if message["type"] == "http.disconnect":
                return
            if self._broken is not None:
                continue
            if piece := message.get("body", b""):
                await self._pieces.put(piece)
            if not message.get("more_body", False):
                await self._pieces.put(None)

    async def messages(self) -> AsyncIterator[Any]:
        """Yield one decoded message per non-empty line. `pump` must be running."""
        number = 0
        try:
            async for line in self._lines():
                number += 1
                if not line.strip():
                    continue
                message = await self._decode(line, f"line {number}")
                self.taken += 1
                yield message
            if self._broken is not None:
                raise self._broken
        except ServiceError as error:
            self.failure = error

    async def _decode(self, line: bytes, what: str) -> Any:
        if len(line) <= LARGE_BYTES:
            return decode_json(line, self._message_type, what)
        async with self._bodies.turn(line, _ITEM_LIST_DEPTH):
            return decode_json(line, self._message_type, what)

    async def _lines(self) -> AsyncIterator[bytes]:
        parts: list[bytes] = []
        size = 0
        while (piece := await self._pieces.get()) is not None:
            *ends, rest = piece.split(b"\n")
            for end in ends:
                self._check_size(size + len(end))
                yield b"".join((*parts, end))
                parts.clear()
                size = 0
                self._held.clear()
            parts.append(rest)
            size += len(rest)
            self._check_size(size)
            self._held.grow(size)
        if size:
            yield b"".join(parts)

    def _check_size(self, size: int) -> None:
        if size > self._max_line_bytes:
            raise payload_too_large("a line", self._max_line_bytes)
