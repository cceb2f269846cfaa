"""Hard negatives: photos of other identities that lie near."""

from __future__ import annotations

from itertools import product

import numpy as np


def hard_negatives(embeddings: np.ndarray, labels: np.ndarray, pool: int, block: int = 1024) -> np.ndarray:
    """(N, pool) indices of each photo's nearest photos of other identities, nearest first, -1 where there are fewer.

    `embeddings` (N, D) float32 of unit length. `labels` (N,), or (N, K) where photos show several identities: photos
    that share one are no negatives (-1 fills short rows). In blocks of rows: block x N similarities at a time.
    """
    total = len(embeddings)
    shown = labels.reshape(total, -1)
    width = min(pool, total)
    nearest = np.full((total, pool), -1, dtype=np.int64)
    for at in range(0, total, block):
        rows = slice(at, min(at + block, total))
        similarity = embeddings[rows] @ embeddings.T
        for own, other in product(shown[rows].T, shown.T):
            similarity[(own[:, None] == other[None, :]) & (own[:, None] >= 0)] = -np.inf
        top = np.argpartition(-similarity, width - 1, axis=1)[:, :width]
        order = np.argsort(-np.take_along_axis(similarity, top, axis=1), axis=1, kind="stable")
        top = np.take_along_axis(top, order, axis=1)
        top[np.isneginf(np.take_along_axis(similarity, top, axis=1))] = -1
        nearest[rows, :width] = top
    return nearest
