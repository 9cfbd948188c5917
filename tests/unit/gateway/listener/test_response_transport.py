"""The head of a response and what follows it are written at once."""

from __future__ import annotations

from typing import Any, cast

from rerankd.gateway.listener.response_transport import ResponseTransport

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


class Socket:
    """Remembers what is written at once."""

    def __init__(self) -> None:
        self.written: list[tuple[bytes, ...]] = []
        self.is_closed = False

    def write(self, data: bytes) -> None:
        """Remember one piece."""
        self.written.append((data,))

    def writelines(self, pieces: tuple[bytes, ...]) -> None:
        """Remember pieces."""
        self.written.append(pieces)

    def is_closing(self) -> bool:
        """Tell whether it was closed."""
        return self.is_closed

    def close(self) -> None:
        """Close it."""
        self.is_closed = True


def opened() -> tuple[Socket, ResponseTransport]:
    """Open the transport of one response."""
    socket = Socket()
    return socket, ResponseTransport(cast("Any", socket))


def test_head_goes_with_the_body() -> None:
    socket, transport = opened()
    transport.write(HEAD)
    assert not socket.written
    transport.write(b"{}")
    assert socket.written == [(HEAD, b"{}")]


def test_later_pieces_go_as_they_come() -> None:
    socket, transport = opened()
    for piece in (HEAD, b"first", b"second", HEAD):
        transport.write(piece)
    assert socket.written == [(HEAD, b"first"), (b"second",), (HEAD,)]


def test_go_ahead_for_a_body_is_not_held_back() -> None:
    socket, transport = opened()
    go_ahead = b"HTTP/1.1 100 Continue\r\n\r\n"
    for piece in (go_ahead, HEAD, b"{}"):
        transport.write(piece)
    assert socket.written == [(go_ahead,), (HEAD, b"{}")]


def test_closing_sends_what_is_held_back() -> None:
    socket, transport = opened()
    transport.write(HEAD)
    transport.close()
    assert socket.written == [(HEAD,)]
    assert transport.is_closing()
