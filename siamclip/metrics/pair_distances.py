"""Distances of given pairs, and the distribution of the distances of all pairs, without an N x N matrix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from siamclip.metrics import verification
from siamclip.metrics.unit_vectors import as_unit_vectors


def pair_distances(embeddings: np.ndarray, index_pairs: np.ndarray, block: int = 16384) -> np.ndarray:
    """(P,) float32 distances of the pairs of rows `index_pairs`, (P, 2) integer, of (N, D) unit vectors.

    The norm of the difference, not sqrt(2 - 2 cos), which in float32 knows distances below 0.001 no better
    than 0. Raises ValueError for an index outside 0 .. N - 1.
    """
    vectors = as_unit_vectors(embeddings)
    pairs = np.asarray(index_pairs, dtype=np.intp).reshape(-1, 2)
    if pairs.size and not 0 <= pairs.min() <= pairs.max() < len(vectors):
        raise ValueError(f"index_pairs reach from {pairs.min()} to {pairs.max()}, there are {len(vectors)} embeddings")
    distances = np.empty(len(pairs), dtype=np.float32)
    for start in range(0, len(pairs), block):
        left, right = pairs[start : start + block].T
        distances[start : start + block] = np.linalg.norm(vectors[left] - vectors[right], axis=1)
    return distances


@dataclass(frozen=True)
class PairHistogram:
    """Numbers of same and of different pairs by distance.

    edges: (B + 1,) float64, equal steps from 0 to 2; same_counts, different_counts: (B,) int64.
    """

    edges: np.ndarray
    same_counts: np.ndarray
    different_counts: np.ndarray

    def weighted_pairs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(distances, same, weights) that stand for all pairs in any function of `verification`.

        Two entries a bin, at its centre. Pairs of one bin become ties, which moves AUC by at most half the
        probability that a same and a different pair share a bin.
        """
        centres = (self.edges[:-1] + self.edges[1:]) / 2
        same = np.repeat([True, False], len(centres))
        return np.tile(centres, 2), same, np.concatenate([self.same_counts, self.different_counts])

    def summary(self, threshold: float, fars: Sequence[float] = verification.FARS) -> dict[str, float]:
        """`verification.summary` over all pairs; `threshold` acts as if rounded to the nearest bin edge."""
        distances, same, weights = self.weighted_pairs()
        return verification.summary(distances, same, threshold, fars, weights)


def pair_histogram(embeddings: np.ndarray, labels: np.ndarray, bins: int = 2000, block: int = 2048) -> PairHistogram:
    """Histogram of the distances of all N (N - 1) / 2 pairs of (N, D) unit vectors with (N,) labels.

    Memory: a few arrays of block x block. Distances are sqrt(2 - 2 cos) in float32, off by about 1e-6 / d at
    most, so that only pairs below d = 0.01 can land more than a tenth of a default bin (0.001) away.
    """
    vectors = as_unit_vectors(embeddings)
    if np.shape(labels) != (len(vectors),):
        raise ValueError(f"labels must have shape ({len(vectors)},), got {np.shape(labels)}")
    _, codes = np.unique(labels, return_inverse=True)
    all_counts = np.zeros(bins, dtype=np.int64)
    same_counts = np.zeros(bins, dtype=np.int64)
    for rows, columns in _upper_blocks(len(vectors), block):
        bin_of = _distance_bins(vectors[rows], vectors[columns], bins)
        same = codes[rows, None] == codes[None, columns]
        if rows == columns:
            once = np.triu_indices(len(bin_of), k=1)
            bin_of, same = bin_of[once], same[once]
        all_counts += np.bincount(bin_of.ravel(), minlength=bins)
        same_counts += np.bincount(bin_of[same], minlength=bins)
    return PairHistogram(np.linspace(0.0, 2.0, bins + 1), same_counts, all_counts - same_counts)


def _upper_blocks(count: int, block: int) -> Iterator[tuple[slice, slice]]:
    """Row and column slices that cover the upper triangle, the diagonal blocks whole."""
    slices = [slice(start, min(start + block, count)) for start in range(0, count, block)]
    for index, rows in enumerate(slices):
        for columns in slices[index:]:
            yield rows, columns


def _distance_bins(left: np.ndarray, right: np.ndarray, bins: int) -> np.ndarray:
    """(L, R) bin of each distance; in place, since passes over memory are the cost here, not arithmetic."""
    values = left @ right.T
    np.subtract(1, values, out=values)
    np.maximum(values, 0, out=values)  # rounding takes the cosine of equal vectors above 1
    np.multiply(values, 2, out=values)
    np.sqrt(values, out=values)
    np.multiply(values, bins / 2, out=values)
    np.minimum(values, bins - 1, out=values)  # the last bin includes d = 2
    return values.astype(np.intp)
