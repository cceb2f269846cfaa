"""Retrieval: for each query photo, where in the ranking of a gallery its own identity comes.

With R relevant items at ranks r_1 < ... < r_R (from 1), i / r_i being the precision at the i-th of them:

    average precision  mean over i of i / r_i; its mean over queries is mAP
    R-precision        share of the first R ranks that is relevant
    MAP@R              1 / R times the sum of i / r_i over r_i <= R   (Musgrave et al. 2020, arXiv:2003.08505)
    CMC rank-k         share of queries with r_1 <= k
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from siamclip.metrics.unit_vectors import as_unit_vectors

# Gallery rows per product: keeps the float64 copies to tens of MB.
_GALLERY_CHUNK = 4096


@dataclass(frozen=True)
class Retrieval:
    """Result for each query, in the order given; one without any relevant item is not `valid`, and left out.

    first_hit_rank: (Q,) int64, from 1; 0 where not valid. valid: (Q,) bool.
    The others: (Q,) float64 in [0, 1], nan where not valid.
    """

    first_hit_rank: np.ndarray
    average_precision: np.ndarray
    precision_at_1: np.ndarray
    r_precision: np.ndarray
    map_at_r: np.ndarray
    valid: np.ndarray

    @property
    def left_out(self) -> int:
        """Number of queries without a relevant item in the gallery."""
        return int(np.count_nonzero(~self.valid))

    def summary(self, weights: np.ndarray | None = None) -> dict[str, float]:
        """Means over the valid queries, under (Q,) non-negative `weights`: rank1, rank5, rank10, mAP,
        precision_at_1, r_precision, map_at_r, each in [0, 1]. Raises ValueError if no valid query has weight.
        """
        every = np.ones(len(self.valid)) if weights is None else np.asarray(weights, np.float64)
        weight = every[self.valid]
        if not weight.sum() > 0:
            raise ValueError("no query has a relevant item in the gallery: retrieval is undefined")

        def mean(values: np.ndarray) -> float:
            # Not `weight @ values`: waking the threads of a BLAS costs more than these few numbers.
            return float((weight * values[self.valid]).sum() / weight.sum())

        return {
            **{f"rank{k}": mean(self.first_hit_rank <= k) for k in (1, 5, 10)},
            "mAP": mean(self.average_precision),
            "precision_at_1": mean(self.precision_at_1),
            "r_precision": mean(self.r_precision),
            "map_at_r": mean(self.map_at_r),
        }


def retrieve(
    queries: np.ndarray,
    query_labels: np.ndarray,
    gallery: np.ndarray,
    gallery_labels: np.ndarray,
    *,
    exclude_self: bool = False,
    query_groups: np.ndarray | None = None,
    gallery_groups: np.ndarray | None = None,
    block: int = 1024,
) -> Retrieval:
    """Rank the gallery for each query and find the items of its label.

    queries (Q, D), gallery (G, D): unit vectors, float32. exclude_self: queries and gallery are the same
    list, and no photo is its own answer. groups, (Q,) and (G,), such as cameras: items of the query's label
    and group are ignored, as in re-identification. Memory: block x G floats; never Q x G.

    Ties count against us: of items equally near, those of other labels come first, so a collapsed space
    scores worst and the order of the files does not matter. Similarities are products in float64 rounded to
    float32: equal vectors then tie exactly (a float32 product differs by 1e-7 with its place in the matrix)
    and `block` is without effect on the result.

    Raises ValueError for shapes that do not fit or rows that are not unit vectors.
    """
    queries, gallery = as_unit_vectors(queries, "queries"), as_unit_vectors(gallery, "gallery")
    if queries.shape[1] != gallery.shape[1]:
        raise ValueError(f"queries have {queries.shape[1]} dimensions, the gallery has {gallery.shape[1]}")
    if exclude_self and len(queries) != len(gallery):
        raise ValueError(f"exclude_self needs one list, not {len(queries)} queries in a gallery of {len(gallery)}")
    if (query_groups is None) != (gallery_groups is None):
        raise ValueError("query_groups and gallery_groups must be given together")
    _check_length(len(queries), query_labels=query_labels, query_groups=query_groups)
    _check_length(len(gallery), gallery_labels=gallery_labels, gallery_groups=gallery_groups)
    query_codes, gallery_codes = _shared_codes(query_labels, gallery_labels)
    by_label = np.argsort(gallery_codes, kind="stable")
    first = np.searchsorted(gallery_codes, query_codes, side="left", sorter=by_label)
    last = np.searchsorted(gallery_codes, query_codes, side="right", sorter=by_label)

    hit = np.zeros(len(queries), dtype=np.int64)
    scores = np.full((4, len(queries)), np.nan)
    for query, farness in _farness_rows(queries, gallery, block):
        mates = by_label[first[query] : last[query]]
        ignored = np.zeros(len(mates), dtype=bool)
        if exclude_self:
            ignored |= mates == query
        if query_groups is not None and gallery_groups is not None:
            ignored |= np.asarray(gallery_groups)[mates] == query_groups[query]
        if ignored.all():
            continue
        ranks = _relevant_ranks(farness, mates[~ignored], mates[ignored])
        hit[query] = ranks[0]
        scores[:, query] = ranking_scores(ranks)
    return Retrieval(hit, scores[0], scores[1], scores[2], scores[3], valid=hit > 0)


def ranking_scores(ranks: np.ndarray) -> tuple[float, float, float, float]:
    """(average precision, precision at 1, R-precision, MAP@R) of one query.

    ranks: (R,) integer, ascending from 1, of all R relevant items.
    """
    total = len(ranks)
    precision = np.arange(1, total + 1) / ranks
    within = np.searchsorted(ranks, total, side="right")
    return (
        float(precision.mean()),
        float(ranks[0] == 1),
        within / total,
        float(precision[:within].sum() / total),
    )


def _relevant_ranks(farness: np.ndarray, relevant: np.ndarray, ignored: np.ndarray) -> np.ndarray:
    """Ascending ranks of the `relevant` columns; reorders `farness`.

    Sorting values and looking the few relevant ones up is six times faster than an argsort of the row.
    """
    own = np.sort(farness[relevant])
    farness[ignored] = np.inf
    farness.sort()
    others_as_near = np.searchsorted(farness, own, side="right") - np.searchsorted(own, own, side="right")
    return others_as_near + np.arange(1, len(own) + 1)


def _farness_rows(queries: np.ndarray, gallery: np.ndarray, block: int) -> Iterator[tuple[int, np.ndarray]]:
    """Each query's index with its (G,) float32 negative cosines, a buffer that the caller may destroy."""
    buffer = np.empty((min(block, len(queries)), len(gallery)), dtype=np.float32)
    for start in range(0, len(queries), block):
        negated = -queries[start : start + block].astype(np.float64)
        for left in range(0, len(gallery), _GALLERY_CHUNK):
            chunk = gallery[left : left + _GALLERY_CHUNK].astype(np.float64)
            buffer[: len(negated), left : left + _GALLERY_CHUNK] = negated @ chunk.T
        for row in range(len(negated)):
            yield start + row, buffer[row]


def _shared_codes(query_labels: np.ndarray, gallery_labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    _, codes = np.unique(np.concatenate([query_labels, gallery_labels]), return_inverse=True)
    return codes[: len(query_labels)], codes[len(query_labels) :]


def _check_length(expected: int, **arrays: np.ndarray | None) -> None:
    for name, values in arrays.items():
        if values is not None and np.shape(values) != (expected,):
            raise ValueError(f"{name} must have shape ({expected},), got {np.shape(values)}")
