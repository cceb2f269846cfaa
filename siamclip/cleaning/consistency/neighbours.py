"""Nearest neighbours among embeddings, and what is unusual among the distances: shared by the methods here.

Euclidean distances between unit vectors, in [0, 2]. Neighbours are found by inner products in float32, whose rounding
puts equal photos up to 1e-3 apart; the distances that are handed out are computed anew from differences.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from siamclip.cleaning.contracts import Findings, Notes, PhotoTable, findings
from siamclip.errors import UserError

# Photos up to which all are compared: 40,000 of 512 values take 10 s on two cores, and it grows with the square.
EXACT_LIMIT = 200_000
_BLOCK = 4096  # rows checked, or distances computed, at a time
_RECALL_SAMPLE = 500  # photos that an index is measured on
# Aimed at with at most one list in 128, of which the notes tell what came. Scanning lists is bound by memory: one in 32
# took as long as comparing all (200,000 of 512 values, 222 s).
_TARGET_RECALL = 0.95


@dataclass(frozen=True)
class Neighbours:
    """distance: (Q, k) float64 ascending, inf where there are fewer; index: (Q, k) int64 into the vectors, then -1."""

    distance: np.ndarray
    index: np.ndarray
    notes: Notes = field(default_factory=dict)


def usable_rows(photos: PhotoTable) -> np.ndarray:
    """(M,) int64 rows of the photos that could be read and embedded and are not set aside, by their content.

    That order does not depend on the files' names: what is learned from the rows one after the other must not either.
    Raises UserError where the scan has no embeddings.
    """
    vectors = photos.vectors()
    finite = np.empty(len(vectors), bool)
    for i in range(0, len(vectors), _BLOCK):
        finite[i : i + _BLOCK] = np.isfinite(vectors[i : i + _BLOCK]).all(axis=1)
    wanted = finite if photos.set_aside is None else finite & ~photos.set_aside
    rows = np.flatnonzero(photos.readable & wanted)
    return rows[np.argsort(photos.content[rows], kind="stable")]


def embeddings_of(photos: PhotoTable, rows: np.ndarray) -> np.ndarray:
    """(M, D) float32, a copy."""
    return np.ascontiguousarray(photos.vectors()[rows], dtype=np.float32)


def nearest(vectors: np.ndarray, k: int, queries: np.ndarray, seed: int = 0, own: bool = True) -> Neighbours:
    """The k nearest of (N, D) float32 unit `vectors` for each row of `queries`.

    `own`: `queries` are positions in `vectors`, and a photo is no neighbour of itself; otherwise they are vectors.
    Exact up to EXACT_LIMIT vectors, from an inverted index (IVF, Jegou et al., TPAMI 2011) beyond; the notes then hold
    its recall, measured on queries drawn at random.
    """
    asked = min(k + own, len(vectors))
    wanted = vectors[queries] if own else np.ascontiguousarray(queries, np.float32)
    notes: Notes = {}
    if len(vectors) <= EXACT_LIMIT or not asked or not len(wanted):
        index = _exact(vectors, wanted, asked)
    else:
        index, notes = _inverted(vectors, wanted, asked, queries if own else np.full(len(wanted), -1), seed)
    if own and asked:
        # Where a photo has many equal ones it may not be among its own neighbours: then the last one goes.
        self_place = index == queries[:, None]
        self_place[~self_place.any(axis=1), -1] = True
        index = index[~self_place].reshape(len(queries), asked - 1)
    distance = _distances(vectors, wanted, index)
    order = np.argsort(distance, axis=1, kind="stable")
    found = Neighbours(np.take_along_axis(distance, order, 1), np.take_along_axis(index, order, 1), notes)
    missing = k - found.index.shape[1]
    if missing <= 0:
        return found
    return Neighbours(
        np.pad(found.distance, ((0, 0), (0, missing)), constant_values=np.inf),
        np.pad(found.index, ((0, 0), (0, missing)), constant_values=-1),
        notes,
    )


def _exact(vectors: np.ndarray, wanted: np.ndarray, k: int) -> np.ndarray:
    """(Q, k) int64. A matrix product and topk in blocks, three times as fast as `faiss.knn` on two cores."""
    import torch

    result = np.empty((len(wanted), k), np.int64)
    if not k:
        return result
    for i in range(0, len(wanted), _BLOCK):
        queries = torch.from_numpy(wanted[i : i + _BLOCK])
        best, place = torch.empty(len(queries), 0), torch.empty(len(queries), 0, dtype=torch.int64)
        for j in range(0, len(vectors), 2 * _BLOCK):
            cosines = queries @ torch.from_numpy(vectors[j : j + 2 * _BLOCK]).T
            values, found = torch.topk(cosines, min(k, cosines.shape[1]), dim=1)
            best, place = torch.cat([best, values], dim=1), torch.cat([place, found + j], dim=1)
            best, kept = torch.topk(best, min(k, best.shape[1]), dim=1)
            place = place.gather(1, kept)
        result[i : i + _BLOCK] = place.numpy()
    return result


def _inverted(
    vectors: np.ndarray, wanted: np.ndarray, k: int, itself: np.ndarray, seed: int
) -> tuple[np.ndarray, Notes]:
    """(Q, k) int64, -1 where too few were found, and the recall; `itself`: (Q,) a query's own position, or -1."""
    import faiss

    number, dimension = vectors.shape
    lists = round(4 * number**0.5)
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dimension), dimension, lists, faiss.METRIC_INNER_PRODUCT)
    # Half of the time went into centroids with 10 steps of 64 photos each.
    index.cp.seed, index.cp.niter, index.cp.spherical = seed % 2**31, 6, True
    index.cp.min_points_per_centroid, index.cp.max_points_per_centroid = 1, 32
    index.train(vectors)
    index.add(vectors)
    # The effort is raised on one half of the sample and measured on the other.
    sample = np.random.default_rng([seed, len(wanted)]).permutation(len(wanted))[: 2 * _RECALL_SAMPLE]
    true = _exact(vectors, wanted[sample], k)
    tuned_on, measured_on = slice(0, (len(sample) + 1) // 2), slice(len(sample) // 2, None)

    def recall(part: slice) -> float:
        """Share of the true neighbours that is found; a photo that finds itself proves nothing."""
        found = index.search(wanted[sample[part]], k)[1]
        hits = [np.isin(a[a != i], b) for a, b, i in zip(true[part], found, itself[sample[part]], strict=True)]
        return float(np.concatenate(hits).mean())

    most = max(8, lists // 128)
    index.nprobe = 4
    while index.nprobe < most and recall(tuned_on) < _TARGET_RECALL:
        index.nprobe = min(2 * index.nprobe, most)
    return index.search(wanted, k)[1], {
        "search": f"{index.nprobe} of {lists} inverted lists",
        "recall of the search": recall(measured_on),
    }


def _distances(vectors: np.ndarray, wanted: np.ndarray, index: np.ndarray) -> np.ndarray:
    """(Q, k) float64, from differences; inf where index is -1 (an index found too few)."""
    result = np.full(index.shape, np.inf)
    block = max(1, _BLOCK // max(index.shape[1], 1))
    for i in range(0, len(index), block):
        part = index[i : i + block]
        difference = vectors[part].astype(np.float64) - wanted[i : i + block, None]
        result[i : i + block] = np.where(part >= 0, np.sqrt(np.einsum("qkd,qkd->qk", difference, difference)), np.inf)
    return result


def robust_centre(values: np.ndarray) -> tuple[float, float]:
    """Median and spread, in the unit of a standard deviation: 1.4826 times the median absolute deviation.

    Where more than half of the values are equal that is 0, and 1.2533 times the mean absolute deviation takes its
    place (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993). (0, 0) of no values.
    """
    if not len(values):
        return 0.0, 0.0
    median = float(np.median(values))
    away = np.abs(values - median)
    spread = 1.4826 * float(np.median(away))
    return median, spread if spread > 0 else 1.2533 * float(away.mean())


def not_judged(method: str, why: str, notes: Notes | None = None) -> Findings:
    """No findings, and why."""
    return findings(method, [], [], [], notes={**(notes or {}), "not judged": why})


def require(condition: bool, method: str, setting: str, value: object, expected: str) -> None:
    """Raises UserError unless a setting's value is in its range."""
    if not condition:
        raise UserError("set", f"must be {expected}", value=f"{method}.{setting}={value}")
