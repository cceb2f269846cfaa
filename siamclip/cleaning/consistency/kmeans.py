"""Outliers by K-means: members of small clusters, and photos far from their centroid for their cluster's spread.

K-means as in scikit-learn (Lloyd with k-means++, Arthur and Vassilvitskii, SODA 2007), on mini-batches (Sculley, WWW
2010) where photos are many. Distances to a centroid are judged by their cluster's own median and median absolute
deviation, which the outliers themselves do not move.
"""

from __future__ import annotations

import math
import warnings

import numpy as np

from siamclip.cleaning.consistency.neighbours import embeddings_of, not_judged, require, robust_centre, usable_rows
from siamclip.cleaning.contracts import Findings, PhotoTable, findings

_ALL_AT_ONCE = 20_000  # photos up to which every one takes part in each step
_FITTED_ON = 200_000  # photos that the centroids are learned from at most
_BLOCK = 16_384
_FEW = 10  # members below which a cluster's spread says little, and that of all stands in for it


def kmeans(
    photos: PhotoTable,
    *,
    clusters: int | None = None,
    small: float = 0.25,
    spread: float = 3.5,
    seed: int = 0,
) -> Findings:
    """Photos in small clusters, and photos `spread` robust deviations farther from their centroid than is usual there.

    clusters: N ** (1 / 4) when not given, 5 for 600 photos and 32 for a million: of many clusters the outliers get one
    of their own. On six mixtures of real collections, ImageNet's network, that found .61 of the outliers with a
    precision of .54; sqrt(N / 2) clusters .13 with .20. small: share of the mean cluster size below which a cluster is
    small. Score: robust deviations from the usual distance to the centroid of the nearest cluster that is not small.
    Archived photos take part in the clusters and are not judged. Raises UserError for a setting out of range.
    """
    require(clusters is None or clusters >= 1, "kmeans", "clusters", clusters, "at least 1")
    require(0 <= small < 1, "kmeans", "small", small, "from 0 to below 1")
    require(math.isfinite(spread) and spread > 0, "kmeans", "spread", spread, "above 0")
    require(0 <= seed < 2**32, "kmeans", "seed", seed, "from 0 to 4294967295")
    rows = usable_rows(photos)
    if len(rows) < 3:
        return not_judged("kmeans", f"{len(rows)} photos with an embedding, at least 3 are needed")
    vectors = embeddings_of(photos, rows)
    wanted = clusters or max(1, round(len(rows) ** 0.25))
    centroids = _fitted(vectors, min(wanted, len(rows)), seed)
    cluster, _ = _assigned(vectors, centroids)
    sizes = np.bincount(cluster, minlength=len(centroids))
    limit = small * len(rows) / len(centroids)
    is_small = sizes < limit
    home, distance = _assigned(vectors, centroids[~is_small])

    members = ~is_small[cluster]
    usual, deviation = _usual(home, distance, members, int((~is_small).sum()))
    score = _deviations(distance, usual[home], deviation[home])
    judged = ~photos.is_archived[rows]
    suspects = np.flatnonzero(judged & ((is_small[cluster] & (sizes[cluster] > 0)) | (score > spread)))
    suspects = suspects[np.argsort(-score[suspects], kind="stable")]
    return findings(
        "kmeans",
        rows[suspects],
        score[suspects],
        [
            _reason(float(distance[i]), float(usual[home[i]]), int(sizes[cluster[i]]), bool(is_small[cluster[i]]))
            for i in suspects
        ],
        keep=True,
        notes={
            "judged": int(judged.sum()),
            "clusters": len(centroids),
            "small clusters": int((is_small & (sizes > 0)).sum()),
            "small is below": limit,
        },
    )


def _reason(distance: float, usual: float, size: int, is_small: bool) -> str:
    where = f"in a cluster of {size} photo{'s' if size > 1 else ''}, " if is_small else ""
    return f"{where}{distance:.2f} from the nearest common cluster's centre; {usual:.2f} is usual there"


def _fitted(vectors: np.ndarray, clusters: int, seed: int) -> np.ndarray:
    """(K, D) float32 centroids; fewer than `clusters` where fewer vectors are distinct."""
    from sklearn.cluster import KMeans, MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning

    if len(vectors) > _FITTED_ON:
        vectors = vectors[np.sort(np.random.default_rng(seed).choice(len(vectors), _FITTED_ON, replace=False))]
    if len(vectors) <= _ALL_AT_ONCE:
        model = KMeans(clusters, n_init=3, random_state=seed)
    else:
        model = MiniBatchKMeans(clusters, n_init=3, batch_size=max(4096, 4 * clusters), random_state=seed)
    with warnings.catch_warnings():
        # Fewer distinct photos than clusters: the same centroid twice, which is dropped below.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(vectors)
    centroids: np.ndarray = np.unique(model.cluster_centers_.astype(np.float32), axis=0)
    return centroids


def _assigned(vectors: np.ndarray, centroids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) int64 nearest centroid, and (N,) float64 distance to it, from differences."""
    cluster, distance = np.empty(len(vectors), np.int64), np.empty(len(vectors))
    squares = np.einsum("kd,kd->k", centroids, centroids)
    for i in range(0, len(vectors), _BLOCK):
        block = vectors[i : i + _BLOCK]
        nearest = np.argmin(squares - 2 * (block @ centroids.T), axis=1)
        difference = block - centroids[nearest]
        cluster[i : i + _BLOCK] = nearest
        distance[i : i + _BLOCK] = np.sqrt(np.einsum("nd,nd->n", difference, difference, dtype=np.float64))
    return cluster, distance


def _usual(home: np.ndarray, distance: np.ndarray, members: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """(K,) median distance and (K,) spread of each cluster's members.

    A cluster has no less than half the typical spread; one with few members has the typical one.
    """
    ordered = np.argsort(home[members], kind="stable")
    parts = np.split(distance[members][ordered], np.cumsum(np.bincount(home[members], minlength=number))[:-1])
    centres = [robust_centre(part) for part in parts]
    usual = np.array([median for median, _ in centres])
    own = np.array([deviation for _, deviation in centres])
    typical = robust_centre(distance[members] - usual[home[members]])[1]
    few = np.array([len(part) < _FEW for part in parts])
    return usual, np.where(few, typical, np.maximum(own, typical / 2))


def _deviations(distance: np.ndarray, usual: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Robust deviations above the usual. Where a cluster has no spread at all, a distance of 0.001 counts as one."""
    return (distance - usual) / np.maximum(deviation, 1e-3)
