from __future__ import annotations

import pytest

from rerankd.local.cascade.tiles import TILE_TOKENS, cut_tiles, tile_starts


@pytest.mark.parametrize(
    ("tokens", "starts"),
    [
        (0, [0]),
        (1, [0]),
        (64, [0]),
        (79, [0]),
        (80, [0, 64]),
        (128, [0, 64]),
        (143, [0, 64]),
        (144, [0, 64, 128]),
        (254, [0, 64, 128, 192]),
    ],
)
def test_a_short_rest_belongs_to_the_tile_before_it(tokens: int, starts: list[int]) -> None:
    assert tile_starts(tokens) == starts


@pytest.mark.parametrize("tokens", [0, 1, 79, 80, 254])
def test_tiles_are_the_document(tokens: int) -> None:
    ids = list(range(tokens))
    tiles = cut_tiles(ids)
    assert [token for tile in tiles for token in tile] == ids
    assert max(map(len, tiles)) < TILE_TOKENS + 16
