"""Byte-level HTTP for attacks: requests that no library would send."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Outcome:
    """How the server took it."""

    status: int
    """HTTP status; 0 when the connection was closed without an answer, -1 when nothing came in time."""
    body: bytes
    sent_bytes: int
    """Bytes the server took before it answered or closed."""

    def message(self) -> str:
        """Return the message of an error body."""
        told: Any = json.loads(self.body)
        return str(told["message"])


def connect(url: str, source: str = "127.0.0.1") -> socket.socket:
    """Open a connection from a loopback address."""
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname or "", parts.port or 0), TIMEOUT_S, source_address=(source, 0))


def head(*lines: str, body_bytes: int | None = None, path: str = "/v1/rerank") -> bytes:
    """Build the head of a POST of JSON."""
    length = ["transfer-encoding: chunked"] if body_bytes is None else [f"content-length: {body_bytes}"]
    fields = ["host: localhost", "content-type: application/json", *lines, *length]
    return f"POST {path} HTTP/1.1\r\n".encode() + "\r\n".join(fields).encode() + b"\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """Frame one chunk of a body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def exchange(url: str, pieces: Iterable[bytes]) -> Outcome:
    """Send pieces until they end or the server answers or closes; return what it said."""
    sent = 0
    with connect(url) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
                sent += len(piece)
                if _has_answer(connection):
                    break
        except (ConnectionError, TimeoutError):
            pass
        return answer_of(connection, sent)


def _has_answer(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    finally:
        connection.settimeout(TIMEOUT_S)
    return True


def answer_of(connection: socket.socket, sent: int = 0) -> Outcome:
    """Read one response."""
    data = b""
    try:
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65536)
            if not piece:
                return Outcome(0, data, sent)
            data += piece
        fields, _, body = data.partition(b"\r\n\r\n")
        length = int(fields.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or b"0")
        while len(body) < length:
            piece = connection.recv(65536)
            if not piece:
                break
            body += piece
        return Outcome(int(fields.split(b" ", 2)[1]), body, sent)
    except TimeoutError:
        return Outcome(-1, data, sent)
    except ConnectionError:
        return Outcome(0, data, sent)


def post(url: str, body: bytes, *lines: str, path: str = "/v1/rerank") -> Outcome:
    """Send one whole body."""
    return exchange(url, [head(*lines, body_bytes=len(body), path=path), body])


def post_json(url: str, value: Any, path: str = "/v1/rerank") -> Outcome:
    """Send one value as JSON."""
    return post(url, json.dumps(value).encode(), path=path)


def post_gzip(url: str, body: bytes, path: str = "/v1/rerank") -> Outcome:
    """Send one body compressed."""
    return post(url, gzip.compress(body, 6), "content-encoding: gzip", path=path)


def at_once(count: int, act: Callable[[int], Any]) -> list[Any]:
    """Run `act` in `count` threads; return their results in order."""
    results: list[Any] = [None] * count

    def run(number: int) -> None:
        with contextlib.suppress(OSError):
            results[number] = act(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
