"""Tiles: the pieces of equal length that a document is cut into, of which those that fit a query best are read."""

from __future__ import annotations

from itertools import pairwise

TILE_TOKENS = 64
BEST_TILES = 2
"""Tiles that MiniLM reads: they rank documents as well as their first 256 tokens do, at half of the cost."""
_LEAST_TOKENS = 16
"""A shorter rest belongs to the tile before it."""


def tile_starts(tokens: int) -> list[int]:
    """Return where the tiles of a document of so many tokens start; at least one, ascending."""
    starts = list(range(0, max(1, tokens), TILE_TOKENS))
    return starts[:-1] if len(starts) > 1 and tokens - starts[-1] < _LEAST_TOKENS else starts


def cut_tiles(ids: list[int]) -> list[list[int]]:
    """Return the tokens of each tile of a document."""
    starts = [*tile_starts(len(ids)), len(ids)]
    return [ids[start:end] for start, end in pairwise(starts)]
