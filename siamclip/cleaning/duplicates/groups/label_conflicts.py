"""The same photo under two labels: one of the two is wrong, and only the user knows which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from siamclip.cleaning.contracts import CopyPairs, Findings, PhotoTable, findings
from siamclip.cleaning.duplicates.groups.evidence import in_words
from siamclip.cleaning.duplicates.groups.grouping import components, joined
from siamclip.errors import printable

METHOD = "label_conflict"


def label_conflicts(photos: PhotoTable, pairs: Sequence[CopyPairs], rank: np.ndarray, first_group: int = 0) -> Findings:
    """One flagged row, with keep = True, for each photo of these pairs; nothing is ever removed by it.

    `pairs`: of two labels each (see credible.py). `related` is the other photo on the strongest evidence, score its
    distance in its method's unit. Photos that hang together have one group number, counted from `first_group`
    in the order of their best photos.
    """
    first, second, strength, distance = joined(pairs)
    inliers = [np.full(len(part), -1) if part.inliers is None else part.inliers for part in pairs]
    methods = [part.method for part in pairs for _ in range(len(part))]
    row, other = np.concatenate([first, second]), np.concatenate([second, first])
    pair = np.tile(np.arange(len(first)), 2)
    order = np.lexsort((rank[other], distance[pair], strength[pair], row))
    rows, at = np.unique(row[order], return_index=True)
    best = order[at]
    others = np.bincount(np.unique(row * len(photos) + other) // max(len(photos), 1), minlength=len(photos))
    matches = np.concatenate(inliers) if inliers else np.empty(0, np.int64)
    reasons = []
    for i in best:
        to, p = other[i], pair[i]
        folder, path = photos.identities[photos.labels[to]], photos.paths[to]
        more = f" (and {others[row[i]] - 1} more)" if others[row[i]] > 1 else ""
        evidence = in_words(methods[p], float(distance[p]), int(matches[p]))
        reasons.append(f"the same photo is in {printable(folder)}: {printable(path)}, {evidence}{more}")
    together, number = np.unique(components(len(photos), (first, second))[rows], return_inverse=True)
    best_of = np.full(len(together), len(photos), np.int64)  # whatever the order of the files, the best photo leads
    np.minimum.at(best_of, number, rank[rows])
    place = np.argsort(np.argsort(best_of))
    return findings(
        METHOD,
        rows,
        distance[pair[best]],
        reasons,
        keep=True,
        group=place[number] + first_group,
        related=other[best],
    )
