"""Counts the keys, items and values of a JSON text before anything is made of them.

Counting takes the text a slice at a time: escapes are dropped, the insides of strings cut out, and of the rest only
brackets and commas are kept, all by functions of `bytes` that run at a gigabyte a second. What is left is short for
documents of text and is walked bracket by bracket. The text need not be valid: the decoder says so later.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_SLICE_BYTES: Final = 32 * 1024
_NOT_STRUCTURE: Final = bytes(set(range(256)) - set(b"[]{},"))
_STEP: Final = re.compile(rb"[\[{]|[\]}]|,+")
_OPENING: Final = frozenset((b"[", b"{"))


class JsonShape:
    """Counts of a JSON text, as far as it was read.

    Args:
        list_depth: How many brackets are open within the lists to be counted: 2 for `{"documents": [...]}`.
    """

    __slots__ = ("_depth", "_is_in_string", "_items", "_list_depth", "largest", "top_keys", "values")

    def __init__(self, list_depth: int = 2) -> None:
        self._list_depth = list_depth
        self._depth = 0
        self._is_in_string = False
        self._items = 0
        self.top_keys = 0
        """Commas between the keys of the outermost object, one less than keys."""
        self.largest = 0
        """Commas between the items of the largest list or object that stands at the depth in question."""
        self.values = 0
        """Commas and opening brackets, at least one for each value but one."""

    def read(self, text: bytes) -> Iterator[None]:
        """Read a whole text, a slice with each step."""
        start = 0
        while start < len(text):
            end = start + _SLICE_BYTES
            piece = text[start:end]
            if _ends_in_escape(piece):  # which is not cut in two
                end += 1
                piece = text[start:end]
            self._read_slice(piece)
            start = end
            yield

    def _read_slice(self, piece: bytes) -> None:
        parts = piece.split(b'"')
        if b"\\" in piece:
            outside = self._outside(parts)
        else:
            outside = parts[self._is_in_string :: 2]
            self._is_in_string ^= len(parts) % 2 == 0
        structure = b"".join(outside).translate(None, _NOT_STRUCTURE)
        self.values += len(structure) - structure.count(b"]") - structure.count(b"}")
        self._walk(structure)

    def _outside(self, parts: list[bytes]) -> list[bytes]:
        """Return the parts outside of strings, where some quotes may be escaped."""
        is_in_string = self._is_in_string
        outside = []
        last = parts.pop()
        for part in parts:
            if not is_in_string:
                outside.append(part)
                is_in_string = True
            elif part[-1:] != b"\\" or not _ends_in_escape(part):
                is_in_string = False
        if not is_in_string:
            outside.append(last)
        self._is_in_string = is_in_string
        return outside

    def _walk(self, structure: bytes) -> None:
        depth, items, list_depth = self._depth, self._items, self._list_depth
        for step in _STEP.findall(structure):
            if step in _OPENING:
                depth += 1
                if depth == list_depth:
                    items = 0
            elif step[0] != 44:
                depth -= 1
            elif depth == list_depth:
                items += len(step)
                if items > self.largest:
                    self.largest = items
            elif depth == 1:
                self.top_keys += len(step)
        self._depth, self._items = depth, items


def _ends_in_escape(part: bytes) -> bool:
    """Whether a part ends with an odd number of backslashes."""
    return part.endswith(b"\\") and (len(part) - len(part.rstrip(b"\\"))) % 2 == 1
