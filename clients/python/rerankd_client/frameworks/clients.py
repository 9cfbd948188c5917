"""The clients behind a framework's component, which does not know on which event loop it will be called."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from rerankd_client.aio import AsyncRerankClient
from rerankd_client.requests import DocumentInput
from rerankd_client.responses import RerankResult
from rerankd_client.sync import RerankClient


class Clients:
    """One server's clients, made when first needed: a blocking one, and an asynchronous one for each event loop.

    Copies and pickles without its connections, as components of frameworks are copied. Safe between threads.

    Args:
        address: As `RerankClient` takes it.
        client_options: `ClientOptions`.
        call_options: `RerankOptions` of every call; those that are None are left out.
    """

    def __init__(self, address: str | None, client_options: Mapping[str, Any], call_options: Mapping[str, Any]) -> None:
        self._address = address
        self._client_options = {name: value for name, value in client_options.items() if value is not None}
        self._call_options = dict(call_options)
        self._lock = threading.Lock()
        self._blocking: RerankClient | None = None
        self._asynchronous: dict[asyncio.AbstractEventLoop, AsyncRerankClient] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return (Clients, (self._address, self._client_options, self._call_options))

    def rerank(self, query: str, documents: Sequence[DocumentInput], **options: Any) -> tuple[RerankResult, ...]:
        """Rerank, waiting; `options` override those of every call. No documents: no call."""
        if not documents:
            return ()
        with self._lock:
            if self._blocking is None:
                self._blocking = RerankClient(self._address, **self._client_options)
            client = self._blocking
        return client.rerank(query, documents, **self._merged(options)).results

    async def arerank(self, query: str, documents: Sequence[DocumentInput], **options: Any) -> tuple[RerankResult, ...]:
        """Rerank without blocking the event loop; as `rerank`."""
        if not documents:
            return ()
        response = await self._of_this_loop().rerank(query, documents, **self._merged(options))
        return response.results

    def _of_this_loop(self) -> AsyncRerankClient:
        running = asyncio.get_running_loop()
        with self._lock:
            client = self._asynchronous.get(running)
            if client is None:
                for loop in [loop for loop in self._asynchronous if loop.is_closed()]:
                    del self._asynchronous[loop]
                client = AsyncRerankClient(self._address, **self._client_options)
                self._asynchronous[running] = client
        return client

    def _merged(self, options: Mapping[str, Any]) -> dict[str, Any]:
        return self._call_options | {name: value for name, value in options.items() if value is not None}


def json_value(value: object) -> object:
    """Return a value of a document's metadata as JSON has it: what JSON lacks, such as a date, as its text."""
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
