"""Cluster, then compare inside clusters only, as SemDeDup does (Abbas et al., 2023, arXiv:2303.09540).

What it misses are pairs that a border between clusters parts; semantic.py measures them. Where the photos of a cluster
are alike by the thousand (a static camera), its best photos represent the others: each photo is paired with the best
one within the threshold, and the number of pairs stays below the number of photos.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from siamclip.cleaning.duplicates.cosine.cosine_search import (
    MAX_PAIRS,
    NearPairs,
    PairCollector,
    off_length,
    pairs_above,
    pairs_between,
    verified,
)
from siamclip.errors import UserError

DENSE = 50  # copies a photo has on average, above which representatives stand for a cluster
HDBSCAN_LIMIT = 20_000  # vectors: its time grows with their square; 10,000 of 512 values took 3 minutes
_PROBED = 200
_ROUNDING = 1e-4  # float32 sums of some thousand products


def number_of_clusters(number: int) -> int:
    """sqrt(N / 2): assigning N vectors to k centroids then costs what comparing inside the clusters does."""
    return max(1, round((number / 2) ** 0.5))


def kmeans_clusters(vectors: np.ndarray, clusters: int, seed: int = 0) -> np.ndarray:
    """(N,) int64 cluster of each of (N, D) unit vectors: spherical K-means, at most `clusters` of them."""
    import faiss

    trained = faiss.Kmeans(
        vectors.shape[1],
        min(clusters, len(vectors)),
        niter=15,
        spherical=True,
        seed=seed % 2**31,
        min_points_per_centroid=1,
        max_points_per_centroid=256,
    )
    trained.train(vectors)
    nearest: np.ndarray = trained.index.search(vectors, 1)[1][:, 0]
    return nearest


def hdbscan_clusters(vectors: np.ndarray) -> np.ndarray:
    """(N,) int64 cluster of each vector, -1 for noise, which has no copies (Campello et al., PAKDD 2013).

    Raises UserError above HDBSCAN_LIMIT vectors.
    """
    if len(vectors) > HDBSCAN_LIMIT:
        raise UserError(
            "set",
            f"would take too long for {len(vectors):,} photos; at most {HDBSCAN_LIMIT:,} are accepted",
            "use kmeans",
            "semantic.cluster_by=hdbscan",
        )
    if len(vectors) < 2:
        return np.full(len(vectors), -1, np.int64)
    from sklearn.cluster import HDBSCAN

    found: np.ndarray = HDBSCAN(min_cluster_size=2, copy=True).fit_predict(vectors)
    return found.astype(np.int64)


def pairs_in_clusters(
    vectors: np.ndarray,
    clusters: np.ndarray,
    threshold: float,
    asks: np.ndarray,
    rank: np.ndarray,
    max_pairs: int = MAX_PAIRS,
    advance: Callable[[int], Any] = lambda done: None,
) -> tuple[NearPairs, int]:
    """Pairs with cosine >= `threshold` in one cluster, and the number of clusters whose best photos stand for them.

    `vectors`: (N, D) float32 unit rows, all finite. `clusters`: (N,), negative: in none. `asks`: (N,) bool, a pair
    has at least one of these. `rank`: (N,), lower is the better representative, no value twice.
    """
    found = PairCollector(max_pairs)
    order = np.argsort(clusters, kind="stable")
    represented = 0
    for members in np.split(order, np.flatnonzero(np.diff(clusters[order])) + 1):
        if len(members) > 1 and clusters[members[0]] >= 0 and asks[members].any():
            if _is_dense(vectors[members], threshold):
                represented += 1
                near = _represented(vectors[members], threshold, asks[members], rank[members])
            else:
                near = pairs_above(vectors[members], threshold, max_pairs=max_pairs)
                wanted = asks[members[near.first]] | asks[members[near.second]]
                near = NearPairs(near.first[wanted], near.second[wanted], near.distance[wanted])
            first, second = members[near.first], members[near.second]
            found.add(np.minimum(first, second), np.maximum(first, second), near.distance)
        advance(len(members))
    everything = np.arange(len(vectors))
    return found.result(everything, everything), represented


def _is_dense(vectors: np.ndarray, threshold: float) -> bool:
    """Whether photos have more than DENSE copies on average; of large clusters some evenly spread rows are asked."""
    if len(vectors) <= DENSE:
        return False
    probes = vectors[np.linspace(0, len(vectors) - 1, min(_PROBED, len(vectors))).astype(int)]
    return len(pairs_between(probes, vectors, threshold)) > (DENSE + 1) * len(probes)


def _represented(vectors: np.ndarray, threshold: float, asks: np.ndarray, rank: np.ndarray) -> NearPairs:
    """Each photo that is asked for, but the representatives, paired with the best one that it is near.

    The photos are taken from the best to the worst; one that no representative is near becomes one itself. Photos
    that are not asked for represent others and are represented by none.
    """
    waiting = np.argsort(rank)
    waiting = np.concatenate([waiting[~asks[waiting]], waiting[asks[waiting]]])
    bound = threshold - off_length(vectors) - _ROUNDING
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    while asks[waiting].any():
        best, waiting = waiting[0], waiting[1:]
        candidates = waiting[vectors[waiting] @ vectors[best] >= bound]
        candidates = candidates[asks[candidates]]
        parts.append(verified(vectors, vectors, np.full(len(candidates), best), candidates, threshold))
        waiting = waiting[~np.isin(waiting, parts[-1][1])]
    first, second, distance = (np.concatenate(part) for part in zip(*parts, strict=True))
    return NearPairs(first, second, distance.astype(np.float32))
