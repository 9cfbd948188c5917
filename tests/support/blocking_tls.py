"""A TLS server in a thread: unlike asyncio's, it sends the alert that says why it ends a handshake."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self


class BlockingTlsServer:
    """Answers requests with 200 and `{}`, each connection in a thread that ends when its client leaves.

    Args:
        context: With a certificate.
        on_end: Called in its thread when a connection ends, with whether TLS had ended before.
    """

    def __init__(self, context: ssl.SSLContext, on_end: Callable[[bool], None] = lambda _: None) -> None:
        self._context = context
        self._on_end = on_end
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        """Base URL, without a path."""
        return f"https://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _run(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(accepted,), daemon=True).start()

    def _wrap(self, accepted: socket.socket) -> ssl.SSLSocket:
        return self._context.wrap_socket(
            accepted, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=False
        )

    def _serve(self, accepted: socket.socket) -> None:
        accepted.settimeout(10)
        with self._wrap(accepted) as connection:
            self._answer(connection)

    def _answer(self, connection: ssl.SSLSocket) -> None:
        try:
            connection.do_handshake()
            while received := connection.recv(65536):
                if received.endswith(b"{}"):
                    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
            self._on_end(True)
        except ssl.SSLEOFError:
            self._on_end(False)
        except OSError:
            # Closing with something unread resets the connection, and the client may never see the alert.
            with suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass
