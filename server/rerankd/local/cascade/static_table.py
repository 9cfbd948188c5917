"""Static word vectors distilled from a transformer: each token of the vocabulary is encoded alone.

Model2Vec's way, without training data: mean of the token states of `[CLS] token [SEP]`, centred, reduced to 256
dimensions by PCA. Takes about a minute of one core once and is kept in a file.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rerankd.local.cascade.calibration import STATIC_COSINE, STATIC_MAXSIM
from rerankd.local.cascade.tiles import BEST_TILES, tile_starts
from rerankd.local.onnx.session import OnnxSession
from rerankd.local.similarity import normalise
from rerankd.local.tokens.tokenizer import Tokenizer

_log = logging.getLogger(__name__)

_MAGIC = b"rerankd static table 1\n"
_WIDTH = 256
_BATCH = 16
"""Tokens in one run: some 10 ms, the longest a call waits for this background work."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class StaticQuery:
    """A query compared with the whole vocabulary."""

    vector: Floats
    """`[256]`, unit length."""
    token_similarities: Floats
    """Cosine of each distinct query token with each vocabulary entry, `[query tokens, vocabulary]`."""
    token_weights: Floats
    """`[query tokens]`; add up to 1."""


class StaticMatch(NamedTuple):
    """A document compared with a query."""

    cosine: float
    """Mean of the whole document's and of its best tile's, -1 to 1."""
    maxsim: float
    """Weighted; likewise."""
    tiles: tuple[int, ...]
    """The tiles that fit the query best, one or two, in the order of the document."""


class StaticTable:
    """Vectors of a vocabulary. Safe to use from any thread.

    Args:
        vectors: `[vocabulary, 256]`, float16.
    """

    def __init__(self, vectors: npt.NDArray[np.float16]) -> None:
        self._units = normalise(vectors)
        # Vocabularies are ordered by frequency, so the logarithm of the rank stands in for rarity.
        log_ranks = np.log(1 + np.arange(len(vectors), dtype=np.float32))
        self._weights: Floats = log_ranks.astype(np.float32)
        self._match_weights: Floats = np.maximum(log_ranks - 6, 0.1).astype(np.float32)

    def read_query(self, ids: list[int]) -> StaticQuery:
        """Compare a query's tokens, special tokens left out, with the vocabulary; some 3 ms for ten tokens."""
        distinct = list(dict.fromkeys(ids))
        weights = self._match_weights[distinct]
        return StaticQuery(
            self._pool(ids),
            self._units[distinct] @ self._units.T,
            weights / weights.sum() if distinct else weights,
        )

    def compare(self, query: StaticQuery, ids: list[int]) -> StaticMatch:
        """Compare a document's tokens with a query, as a whole and in tiles; 0.3 ms for 250 tokens."""
        if not ids or not len(query.token_weights):
            return StaticMatch(0.0, 0.0, (0,))
        starts = tile_starts(len(ids))
        best = np.maximum.reduceat(query.token_similarities[:, ids], starts, axis=1)
        sums = np.add.reduceat(self._weights[ids, None] * self._units[ids], starts, axis=0)
        cosine = float(query.vector @ normalise(sums.sum(axis=0)))
        maxsim = float(query.token_weights @ best.max(axis=1))
        cosines, maxsims = normalise(sums) @ query.vector, query.token_weights @ best
        fits = cosines / STATIC_COSINE.spread + maxsims / STATIC_MAXSIM.spread
        tiles = tuple(sorted(np.argsort(-fits, kind="stable")[:BEST_TILES].tolist()))
        return StaticMatch((cosine + float(cosines.max())) / 2, (maxsim + float(maxsims.max())) / 2, tiles)

    def _pool(self, ids: list[int]) -> Floats:
        if not ids:
            return np.zeros(_WIDTH, np.float32)
        return normalise(self._weights[ids] @ self._units[ids])


def count_batches(tokenizer: Tokenizer) -> int:
    """Return how many runs compute a table."""
    return -(-tokenizer.vocabulary_size // _BATCH)


def embed_batch(session: OnnxSession, tokenizer: Tokenizer, batch: int) -> Floats:
    """Run one batch of single tokens; returns `[tokens, width]` mean states."""
    last = min(tokenizer.vocabulary_size, (batch + 1) * _BATCH)
    framed = [tokenizer.frame_single([token]) for token in range(batch * _BATCH, last)]
    ids = np.array([pair[0] for pair in framed], dtype=np.int64)
    types = np.array([pair[1] for pair in framed], dtype=np.int64)
    states: Floats = session.run_batch(ids, types).mean(axis=1).astype(np.float32)
    return states


def reduce_vectors(states: Floats) -> npt.NDArray[np.float16]:
    """Centre `[vocabulary, width]` states and keep their 256 principal directions."""
    centred = states - states.mean(axis=0)
    _, directions = np.linalg.eigh(centred.T @ centred)
    strongest = directions[:, ::-1][:, :_WIDTH]
    reduced: npt.NDArray[np.float16] = (centred @ strongest).astype(np.float16)
    return reduced


class TableFile:
    """The file a table is kept in. Several processes may read and write it at once.

    Args:
        directory: Created when it is missing.
        key: Names the weights and the tokenizer the table is made from.
    """

    def __init__(self, directory: Path, key: str) -> None:
        digest = hashlib.blake2b(key.encode(), digest_size=8).hexdigest()
        self.path = directory / f"static-table-{digest}.bin"
        self._key = key

    def load(self, vocabulary: int) -> npt.NDArray[np.float16] | None:
        """Read the vectors; `None` when there is no file or it is not whole."""
        try:
            content = self.path.read_bytes()
        except OSError:
            return None
        try:
            return self._decode(content, vocabulary)
        except (ValueError, KeyError, TypeError):
            _log.warning("the file %s is damaged and is made again", self.path.name)
            return None

    def save(self, vectors: npt.NDArray[np.float16]) -> bool:
        """Write the vectors so that a reader sees all or nothing; `False` when the directory cannot be written."""
        payload = vectors.tobytes()
        head = {"key": self._key, "shape": list(vectors.shape), "sha256": hashlib.sha256(payload).hexdigest()}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=".static-table-")
        except OSError:
            return False
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_MAGIC + json.dumps(head).encode() + b"\n" + payload)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self.path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            return False
        return True

    def _decode(self, content: bytes, vocabulary: int) -> npt.NDArray[np.float16]:
        if not content.startswith(_MAGIC):
            raise ValueError("no static table")
        line, _, payload = content[len(_MAGIC) :].partition(b"\n")
        head = json.loads(line)
        if head["key"] != self._key or head["shape"] != [vocabulary, _WIDTH]:
            raise ValueError("a table of other weights")
        if hashlib.sha256(payload).hexdigest() != head["sha256"]:
            raise ValueError("checksum differs")
        return np.frombuffer(payload, dtype=np.float16).reshape(vocabulary, _WIDTH)
