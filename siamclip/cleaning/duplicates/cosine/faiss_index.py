"""Pairs of near vectors by an index of FAISS, for collections too large for every pair, and how many it missed.

An index drops true pairs without saying so. Here its effort is raised on one sample of photos until it finds
`TARGET_RECALL` of their pairs, and its recall is then measured on another sample against the exact answer.

Inverted lists (IVF): Jegou et al., Product quantization for nearest neighbor search, TPAMI 2011. HNSW: Malkov and
Yashunin, TPAMI 2020. IVF answers the question asked, all vectors within a radius, and its answer is the same for the
same seed. HNSW knows nearest neighbours only (its range search in faiss 1.15 aborts the process), so k is doubled
until the last neighbour is out of reach; its graph depends on the timing of threads. Equal vectors must have been
collapsed: they slow the building of a graph 50 times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from siamclip.cleaning.duplicates.cosine.cosine_search import (
    MAX_PAIRS,
    NearPairs,
    PairCollector,
    off_length,
    pairs_between,
    verified,
)

TARGET_RECALL = 0.995
SAMPLE = 2000  # photos, of each of the two samples
_QUERIES = 4096
_LARGEST_K = 1024  # neighbours that HNSW is asked for at most
_ROUNDING = 1e-4  # float32 sums of some thousand products


@dataclass(frozen=True)
class Recall:
    """Of the `pairs` (or, by photo, photos with a pair) of `photos` sampled ones, `found` were found."""

    photos: int
    pairs: int
    found: int

    @property
    def share(self) -> float | None:
        """None where the sample has no pairs: then nothing is known."""
        return self.found / self.pairs if self.pairs else None


def pairs_by_index(
    kind: str,
    vectors: np.ndarray,
    threshold: float,
    asks: np.ndarray,
    seed: int = 0,
    max_pairs: int = MAX_PAIRS,
    advance: Callable[[int], Any] = lambda done: None,
) -> tuple[NearPairs, dict[str, int]]:
    """Pairs with cosine >= `threshold` that an index finds, and its effort. No pair is wrong, some may be missing.

    `kind`: "ivf" or "hnsw". `vectors`: (N, D) float32 unit rows, all finite and distinct. `asks`: (N,) bool, the rows
    that are searched for; a pair has at least one of them. `max_pairs` as in `pairs_above`.
    """
    index: _InvertedLists | _Graph = _InvertedLists(vectors, seed) if kind == "ivf" else _Graph(vectors)
    tuned_on = sampled(asks, seed)
    truth = pairs_between(vectors[tuned_on], vectors, threshold, max_pairs=max_pairs)
    wanted = TARGET_RECALL * (len(truth) - len(tuned_on))  # but for each photo's pair with itself
    while index.effort < index.most:
        first, second = index.search(vectors[tuned_on], threshold)
        first = tuned_on[first]
        other = first != second
        if len(verified(vectors, vectors, first[other], second[other], threshold)[0]) >= wanted:
            break
        index.effort = min(2 * index.effort, index.most)

    found = PairCollector(2 * max_pairs)  # most pairs are found from both sides
    rows = np.flatnonzero(asks)
    # Where photos are alike by the thousand, fewer are asked for at a time: a result must fit into memory.
    queries = max(1, min(_QUERIES, 4_000_000 * len(tuned_on) // max(len(truth), 1)))
    for i in range(0, len(rows), queries):
        part = rows[i : i + queries]
        first, second = index.search(vectors[part], threshold)
        first = part[first]
        other = first != second
        low, high = np.minimum(first, second)[other], np.maximum(first, second)[other]
        found.add(*verified(vectors, vectors, low, high, threshold))
        advance(len(part))
    everything = np.arange(len(vectors))
    return found.result(everything, everything), index.notes()


def measured_recall(
    vectors: np.ndarray,
    threshold: float,
    asks: np.ndarray,
    found: NearPairs,
    seed: int = 0,
    sample: int = SAMPLE,
    by_photo: bool = False,
) -> Recall:
    """Share of the true pairs of sampled photos that are among `found`. Arguments as of `pairs_by_index`.

    `by_photo`: share of the sampled photos with a true pair that have one in `found`, whichever it is; for answers
    that leave out pairs of one crowd on purpose.
    """
    rows = sampled(asks, seed + 1, sample)
    true = pairs_between(vectors[rows], vectors, threshold)
    first, second = rows[true.first], true.second
    other = first != second
    if by_photo:
        paired = np.unique(first[other])
        known = np.isin(paired, np.concatenate([found.first, found.second]))
        return Recall(len(rows), len(paired), int(known.sum()))
    keys = np.unique(_keys(first[other], second[other], len(vectors)))
    known = np.isin(keys, _keys(found.first, found.second, len(vectors)))
    return Recall(len(rows), len(keys), int(known.sum()))


def sampled(asks: np.ndarray, seed: int, sample: int = SAMPLE) -> np.ndarray:
    """Up to `sample` of the rows that are searched for, in increasing order."""
    rows = np.flatnonzero(asks)
    chosen = np.random.default_rng([seed, len(asks)]).choice(rows, min(sample, len(rows)), replace=False)
    return np.sort(chosen)


def _keys(first: np.ndarray, second: np.ndarray, number: int) -> np.ndarray:
    return np.minimum(first, second) * np.int64(number) + np.maximum(first, second)


class _InvertedLists:
    """faiss.IndexIVFFlat; effort: the lists searched."""

    def __init__(self, vectors: np.ndarray, seed: int) -> None:
        import faiss

        number, dimension = vectors.shape
        self.most = max(1, min(round(4 * number**0.5), number // 16))
        self.effort = min(4, self.most)
        self._index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dimension), dimension, self.most, faiss.METRIC_INNER_PRODUCT)
        settings = self._index.cp
        settings.seed, settings.niter, settings.spherical = seed % 2**31, 10, True
        settings.min_points_per_centroid, settings.max_points_per_centroid = 1, 64
        self._index.train(vectors)
        self._index.add(vectors)
        self._margin = _ROUNDING + off_length(vectors)

    def search(self, queries: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
        self._index.nprobe = self.effort
        limits, _, found = self._index.range_search(queries, threshold - self._margin)
        return np.repeat(np.arange(len(queries)), np.diff(limits).astype(np.int64)), found

    def notes(self) -> dict[str, int]:
        return {"lists": self.most, "lists searched": self.effort}


class _Graph:
    """faiss.IndexHNSWFlat; effort: efSearch, the candidates that a search keeps."""

    def __init__(self, vectors: np.ndarray) -> None:
        import faiss

        self.effort, self.most = 32, 2048
        self._number = len(vectors)
        self._index = faiss.IndexHNSWFlat(vectors.shape[1], 16, faiss.METRIC_INNER_PRODUCT)
        self._index.hnsw.efConstruction = 60
        self._index.add(vectors)
        self._margin = _ROUNDING + off_length(vectors)

    def search(self, queries: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
        rows = np.arange(len(queries))
        found: list[tuple[np.ndarray, np.ndarray]] = []
        k = 16
        while len(rows):
            k = min(k, self._number)
            self._index.hnsw.efSearch = max(self.effort, k)
            cosine, neighbour = self._index.search(queries[rows], k)
            near = (cosine >= threshold - self._margin) & (neighbour >= 0)
            full = near[:, -1] & (k < min(_LARGEST_K, self._number))
            done, column = np.nonzero(near & ~full[:, None])
            found.append((rows[done], neighbour[done, column]))
            rows, k = rows[full], 4 * k
        return np.concatenate([f for f, _ in found]), np.concatenate([s for _, s in found])

    def notes(self) -> dict[str, int]:
        return {"efSearch": self.effort}
