from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rerankd.local.cascade.static_table import StaticTable, TableFile, reduce_vectors
from rerankd.local.cascade.tiles import TILE_TOKENS, cut_tiles

VOCABULARY = 300


@pytest.fixture
def vectors() -> np.ndarray:
    return np.random.default_rng(7).normal(size=(VOCABULARY, 256)).astype(np.float16)


def test_a_file_gives_back_what_was_saved(tmp_path: Path, vectors: np.ndarray) -> None:
    file = TableFile(tmp_path / "new", "weights")
    assert file.load(VOCABULARY) is None
    assert file.save(vectors)
    loaded = file.load(VOCABULARY)
    assert loaded is not None
    assert np.array_equal(loaded, vectors)
    assert [path.name for path in (tmp_path / "new").iterdir()] == [file.path.name]


@pytest.mark.parametrize("harm", ["flip", "cut", "empty", "text", "header"])
def test_a_damaged_file_is_not_used(tmp_path: Path, vectors: np.ndarray, harm: str) -> None:
    file = TableFile(tmp_path, "weights")
    file.save(vectors)
    content = bytearray(file.path.read_bytes())
    content[-1] ^= 1
    harmed = {
        "flip": bytes(content),
        "cut": bytes(content[:-100]),
        "empty": b"",
        "text": b"hello",
        "header": b"rerankd static table 1\n[]\nx",
    }[harm]
    file.path.write_bytes(harmed)
    assert file.load(VOCABULARY) is None
    assert file.save(vectors)
    assert file.load(VOCABULARY) is not None


def test_a_table_of_other_weights_or_vocabulary_is_not_used(tmp_path: Path, vectors: np.ndarray) -> None:
    file = TableFile(tmp_path, "weights")
    file.save(vectors)
    TableFile(tmp_path, "others").path.write_bytes(file.path.read_bytes())
    assert TableFile(tmp_path, "others").load(VOCABULARY) is None
    assert file.load(VOCABULARY + 1) is None


def test_a_directory_that_cannot_be_written_breaks_nothing(tmp_path: Path, vectors: np.ndarray) -> None:
    (tmp_path / "file").write_text("in the way")
    assert not TableFile(tmp_path / "file", "weights").save(vectors)


def test_related_texts_compare_higher(vectors: np.ndarray) -> None:
    table = StaticTable(vectors)
    query = table.read_query([100, 200])
    same, other = table.compare(query, [100, 200, 5]), table.compare(query, [40, 50, 5])
    assert same.cosine > other.cosine
    assert same.maxsim == pytest.approx(1, abs=1e-3)
    assert table.compare(query, []) == (0.0, 0.0, (0,))
    assert table.compare(table.read_query([]), [1]) == (0.0, 0.0, (0,))


def test_the_tiles_that_fit_the_query_are_found(vectors: np.ndarray) -> None:
    table = StaticTable(vectors)
    query = table.read_query([100, 200])
    filler = [position % 90 for position in range(TILE_TOKENS)]
    for tile in range(4):
        ids = filler * tile + [100, 200, *filler[2:]] + filler * (3 - tile)
        match = table.compare(query, ids)
        assert tile in match.tiles
        assert len(match.tiles) == 2
        assert list(match.tiles) == sorted(match.tiles)
        assert match.maxsim == pytest.approx(1, abs=1e-3)
        assert match.cosine < table.compare(query, cut_tiles(ids)[tile]).cosine


def test_reducing_keeps_the_strongest_directions() -> None:
    states = np.random.default_rng(3).normal(size=(500, 384)).astype(np.float32)
    states[:, :3] *= 50
    reduced = reduce_vectors(states).astype(np.float32)
    centred = states - states.mean(axis=0)
    assert reduced.shape == (500, 256)
    assert np.sum(reduced[:, :3] ** 2) == pytest.approx(np.sum(centred[:, :3] ** 2), rel=0.01)
