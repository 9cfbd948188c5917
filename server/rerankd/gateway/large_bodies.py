"""Decodes large bodies in turn: counted a slice at a time, decoded one after the other."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from rerankd.engine.limits import too_many_documents
from rerankd.gateway.decoding import MOST_KEYS, too_many_keys
from rerankd.gateway.json_shape import JsonShape
from rerankd.gateway.refusal import payload_too_large

LARGE_BYTES: Final = 512 * 1024
"""Decoding what is shorter takes some milliseconds at most; of 10,000 short documents too."""
_HEAD_BYTES: Final = 256 * 1024
"""Part of a body that is searched for the name of a list: in some milliseconds, of nothing but quotes too."""
_NOT_SHORT: Final = rb"(?![^\[\]]{0,4096}\])"
"""What follows the bracket of a long list: not a bracket that closes it soon."""


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
    async def turn(
        self, body: bytes, list_depth: int = 2, lists: Sequence[str] = ("documents",)
    ) -> AsyncIterator[None]:
        """Wait for the turn of a large body and count its parts; it is decoded in this context.

        Args:
            body: JSON text.
            list_depth: See `JsonShape`.
            lists: Names that the long list of the body may have, n >= 1, for errors.

        Raises:
            ServiceError: `TOO_MANY_DOCUMENTS` or `INVALID_REQUEST` for one with too many parts.
        """
        async with self._turn:
            await self._check(body, list_depth, lists)
            yield
        await asyncio.sleep(0)

    async def _check(self, body: bytes, list_depth: int, lists: Sequence[str]) -> None:
        shape, max_documents = JsonShape(list_depth), self._max_documents()
        for _ in shape.read(body):
            if shape.top_keys >= MOST_KEYS:
                raise too_many_keys(MOST_KEYS)
            if shape.largest >= max_documents:
                raise too_many_documents(max_documents, _name_of_list(body, lists))
            if shape.values > self._max_values:
                raise payload_too_large("the body", self._max_values, "values")
            await asyncio.sleep(0)


def _name_of_list(body: bytes, names: Sequence[str]) -> str:
    """Return which of n >= 1 names a long list has in a JSON text, as far as its head tells; else the first."""
    pattern = rb'"(%b)"\s*:\s*\[%b' % ("|".join(map(re.escape, names)).encode(), _NOT_SHORT)
    found = re.search(pattern, body[:_HEAD_BYTES]) if len(names) > 1 else None
    return names[0] if found is None else found[1].decode()
