"""MiniLM's vectors of texts, for cosine and for late interaction, kept by content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rerankd.local.dual_encoder import pack_tokens
from rerankd.local.onnx.loading import Loaded
from rerankd.local.similarity import cosine, maxsim, pool
from rerankd.local.tokens.vectors import VectorCache, content_key

FloatArray = npt.NDArray[np.floating]
Keys = tuple[bytes, bytes]
"""Cache keys of the mean and of the token vectors of a text."""


@dataclass(frozen=True, slots=True)
class TextVectors:
    """Vectors of one text."""

    mean: FloatArray
    tokens: FloatArray
    tokens_read: int
    """Tokens the network read for them, 0 when they were kept."""


class LateMatch(NamedTuple):
    """A document compared with a query."""

    cosine: float
    """Of the tile that is most alike, -1 to 1."""
    maxsim: float
    """Over all tiles that were read, -1 to 1."""
    tokens_read: int
    """Tokens the network read for it."""


class LateVectors:
    """Computes vectors of documents once. Safe to use from any thread.

    The keys are those of all-minilm-l6-v2 and its MaxSim variant, so that all share the vectors of equal texts.
    """

    def __init__(self, minilm: Loaded, cache: VectorCache) -> None:
        self._minilm = minilm
        self._cache = cache

    def keys(self, ids: list[int]) -> Keys:
        """Return the cache keys of a text."""
        identity = self._minilm.identity
        return content_key(identity, "mean", ids), content_key(identity, "tokens", ids)

    def are_kept(self, keys: Keys) -> bool:
        """Whether the vectors of a text are in the cache."""
        return all(key in self._cache for key in keys)

    def of_query(self, ids: list[int]) -> TextVectors:
        """Compute the vectors of a query."""
        framed, types = self._minilm.tokenizer.frame_single(ids)
        states = self._minilm.session.run(framed, types)
        return TextVectors(pool(states, "mean"), pack_tokens(states), len(framed))

    def of_text(self, ids: list[int], keys: Keys) -> TextVectors:
        """Return the vectors of a document or a part of one, from the cache where they are kept."""
        mean, tokens = map(self._cache.get, keys)
        if mean is not None and tokens is not None:
            return TextVectors(mean, tokens, 0)
        computed = self.of_query(ids)
        self._cache.put(keys[0], computed.mean)
        self._cache.put(keys[1], computed.tokens)
        return computed

    def compare(self, query: TextVectors, tiles: Sequence[list[int]], keys: Sequence[Keys]) -> LateMatch:
        """Compare a query with the tiles of a document that are read, n >= 1."""
        read = [self.of_text(ids, each) for ids, each in zip(tiles, keys, strict=True)]
        tokens = read[0].tokens if len(read) == 1 else np.concatenate([each.tokens for each in read])
        return LateMatch(
            max(cosine(query.mean, each.mean) for each in read),
            maxsim(query.tokens, tokens),
            sum(each.tokens_read for each in read),
        )
