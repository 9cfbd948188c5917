"""Decodes large bodies in turn: counted a slice at a time, decoded one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from rerankd.contract.errors import FieldViolation, Reason, ServiceError
from rerankd.gateway.decoding import MOST_KEYS, too_many_keys
from rerankd.gateway.json_shape import JsonShape
from rerankd.gateway.refusal import payload_too_large

LARGE_BYTES: Final = 512 * 1024
"""Decoding what is shorter takes some milliseconds at most; of 10,000 short documents too."""


class LargeBodies:
    """Turns of the large bodies of one event loop.

    Each yields the event loop between slices; many of them together would hold it for a slice of each.

    Args:
        max_documents: Returns the most items of the list of documents.
        max_values: Most values of a body.
    """

    def __init__(self, max_documents: Callable[[], int], max_values: int) -> None:
        self._max_documents = max_documents
        self._max_values = max_values
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def turn(self, body: bytes, list_depth: int = 2, documents: str = "documents") -> AsyncIterator[None]:
        """Wait for the turn of a large body and count its parts; it is decoded in this context.

        Args:
            body: JSON text.
            list_depth: See `JsonShape`.
            documents: Name of the list of documents in errors.

        Raises:
            ServiceError: `TOO_MANY_DOCUMENTS` or `INVALID_REQUEST` for one with too many parts.
        """
        async with self._turn:
            await self._check(body, list_depth, documents)
            yield
        await asyncio.sleep(0)

    async def _check(self, body: bytes, list_depth: int, documents: str) -> None:
        shape, max_documents = JsonShape(list_depth), self._max_documents()
        for _ in shape.read(body):
            if shape.top_keys >= MOST_KEYS:
                raise too_many_keys(MOST_KEYS)
            if shape.largest >= max_documents:
                raise _too_many_documents(max_documents, documents)
            if shape.values > self._max_values:
                raise payload_too_large("the body", self._max_values, "values")
            await asyncio.sleep(0)


def _too_many_documents(most: int, field: str) -> ServiceError:
    message = f"{field} has more than the {most} items this server takes in one call; send fewer"
    return ServiceError(
        Reason.TOO_MANY_DOCUMENTS,
        message,
        metadata={"max_documents": str(most)},
        violations=[FieldViolation(field, message)],
    )
