"""The precondition of every distance here: finite embeddings of length one."""

from __future__ import annotations

import numpy as np

# Vectors normalised in float32 are within 1e-6 of length one, and within 5e-4 after storage as float16.
_LENGTH_TOLERANCE = 1e-3


def as_unit_vectors(embeddings: np.ndarray, name: str = "embeddings") -> np.ndarray:
    """Checked (N, D) float32 view or copy of `embeddings`, whose rows must already have length one.

    Raises ValueError, with `name` in it, for another shape, a NaN or infinity, or a row that is not
    normalised: on such rows cosine and Euclidean distance rank differently, and every number after would be
    quietly wrong.
    """
    vectors = np.ascontiguousarray(embeddings, dtype=np.float32)
    if vectors.ndim != 2 or vectors.shape[1] == 0:
        raise ValueError(f"{name}: expected shape (N, D), got {vectors.shape}")
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    # Written so that a NaN length counts as wrong.
    wrong = np.flatnonzero(~(np.abs(lengths - 1) <= _LENGTH_TOLERANCE))
    if wrong.size:
        row = wrong[0]
        raise ValueError(f"{name}: row {row} has length {lengths[row]:.4g}, expected unit vectors (L2-normalise first)")
    return vectors
