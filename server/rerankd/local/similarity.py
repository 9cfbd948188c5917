"""Comparing vectors."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]

_LEAST_NORM = 1e-9


def normalise(vectors: FloatArray) -> npt.NDArray[np.float32]:
    """Scale vectors along the last axis to length 1; zero vectors stay zero."""
    wide = np.asarray(vectors, dtype=np.float32)
    norms = np.linalg.norm(wide, axis=-1, keepdims=True)
    unit: npt.NDArray[np.float32] = wide / np.maximum(norms, _LEAST_NORM)
    return unit


def pool(states: FloatArray, pooling: Literal["mean", "cls"]) -> npt.NDArray[np.float32]:
    """Make one unit vector of token states `[tokens, width]`, special tokens included."""
    return normalise(states[0] if pooling == "cls" else states.mean(axis=0))


def cosine(query: FloatArray, document: FloatArray) -> float:
    """Cosine of two unit vectors, -1 to 1."""
    similarity = float(np.asarray(query, np.float32) @ np.asarray(document, np.float32))
    return min(1.0, max(-1.0, similarity))


def maxsim(query: FloatArray, document: FloatArray) -> float:
    """Mean over the query's tokens of the best cosine with a token of the document.

    Args:
        query: `[tokens, width]`, unit vectors.
        document: `[tokens, width]`, unit vectors.

    Returns:
        -1 to 1; 0 when one side has no tokens.
    """
    if not len(query) or not len(document):
        return 0.0
    table = np.asarray(query, np.float32) @ np.asarray(document, np.float32).T
    return min(1.0, max(-1.0, float(table.max(axis=1).mean())))
