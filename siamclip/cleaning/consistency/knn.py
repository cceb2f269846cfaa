"""Outliers by the distance to their k-th nearest neighbour.

Ramaswamy, Rastogi and Shim, Efficient algorithms for mining outliers from large data sets, SIGMOD 2000. A photo that
belongs to the collection has others near it. Outliers that come in groups larger than `neighbours` have each other.
"""

from __future__ import annotations

import math

import numpy as np

from siamclip.cleaning.consistency.neighbours import (
    embeddings_of,
    nearest,
    not_judged,
    require,
    robust_centre,
    usable_rows,
)
from siamclip.cleaning.contracts import Findings, PhotoTable, findings

_ARCHIVE_SAMPLE = 10_000  # archived photos that join in saying what is usual


def knn(
    photos: PhotoTable,
    *,
    neighbours: int = 10,
    deviations: float = 3.0,
    threshold: float | None = None,
    seed: int = 0,
) -> Findings:
    """Photos whose distance to the `neighbours`-th nearest one exceeds `threshold`; score: that distance, in [0, 2].

    threshold: chosen from the data when not given, the median distance and `deviations` robust standard deviations
    above it. Archived photos are neighbours of the others and not judged. Raises UserError for a setting out of range.
    """
    require(neighbours >= 1, "knn", "neighbours", neighbours, "at least 1")
    require(math.isfinite(deviations) and deviations > 0, "knn", "deviations", deviations, "above 0")
    require(threshold is None or 0 <= threshold <= 2, "knn", "threshold", threshold, "from 0 to 2")
    rows = usable_rows(photos)
    if len(rows) <= neighbours:
        return not_judged("knn", f"{len(rows)} photos with an embedding, more than {neighbours} are needed")
    vectors = embeddings_of(photos, rows)
    archived = photos.is_archived[rows]
    judged, old = np.flatnonzero(~archived), np.flatnonzero(archived)
    if len(old) > _ARCHIVE_SAMPLE:
        old = np.random.default_rng(seed).choice(old, _ARCHIVE_SAMPLE, replace=False)
    found = nearest(vectors, neighbours, np.concatenate([judged, old]), seed)
    distance = found.distance[:, -1]
    usual, spread = robust_centre(distance[np.isfinite(distance)])
    limit = min(2.0, usual + deviations * spread) if threshold is None else threshold

    suspects = np.flatnonzero(distance[: len(judged)] > limit)
    suspects = suspects[np.argsort(-distance[suspects], kind="stable")]
    named = "nearest photo" if neighbours == 1 else f"neighbour number {neighbours}"
    return findings(
        "knn",
        rows[judged[suspects]],
        np.minimum(distance[suspects], 2.0),
        [f"{named} is {min(distance[i], 2.0):.2f} away; {usual:.2f} is usual, the limit {limit:.2f}" for i in suspects],
        keep=True,
        related=rows[found.index[suspects, 0]],
        notes={"judged": len(judged), "neighbours": neighbours, "threshold": limit, "usual distance": usual}
        | ({"spread": spread} if threshold is None else {})
        | found.notes,
    )
