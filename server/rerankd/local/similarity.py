"""Vector similarity: normalisation, pooling, cosine, MaxSim."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]

_LEAST_NORM = 1e-9
_LONE_PRODUCT = 262_144
"""Multiplications up to which OpenBLAS uses one thread; a second one would compete with another worker for its core."""
_SIGN_EXPONENT_FRACTION = np.int32(-0x80000000 | 0x0FFFE000)
_BIAS_DIFFERENCE = np.float32(2.0**112)
"""The exponents' biases are 15 and 127."""


def normalise(vectors: FloatArray) -> npt.NDArray[np.float32]:
    """Scale vectors along the last axis to length 1; zero vectors stay zero."""
    wide = np.asarray(vectors, dtype=np.float32)
    norms = np.linalg.norm(wide, axis=-1, keepdims=True)
    unit: npt.NDArray[np.float32] = wide / np.maximum(norms, _LEAST_NORM)
    return unit


def pool(states: FloatArray, pooling: Literal["mean", "cls"]) -> npt.NDArray[np.float32]:
    """Pool token states `[tokens, width]`, special tokens included, into one unit vector."""
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
    turned = np.asarray(query, np.float32).T
    wide = widen(document) if document.dtype == np.float16 else np.asarray(document, np.float32)
    table = np.empty((len(document), len(query)), np.float32)
    rows = max(1, _LONE_PRODUCT // turned.size)
    for start in range(0, len(document), rows):
        np.matmul(wide[start : start + rows], turned, out=table[start : start + rows])
    return min(1.0, max(-1.0, float(table.max(axis=0).mean())))


def widen(halves: FloatArray) -> npt.NDArray[np.float32]:
    """Convert finite float16 to float32, exactly; numpy's own conversion takes three times as long."""
    bits = halves.view(np.int16).astype(np.int32)
    bits <<= 13
    # What the sign was extended into goes; exponent and fraction are where single precision has them.
    bits &= _SIGN_EXPONENT_FRACTION
    wide = bits.view(np.float32)
    wide *= _BIAS_DIFFERENCE
    return wide
