"""What the groups of copies say of photos: copies and their keepers, and photos under two labels.

The same photo under two labels: one of the two is wrong, and only the user knows which.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from siamclip.cleaning.contracts import CopyPairs, Findings, PhotoTable, findings
from siamclip.cleaning.duplicates.groups.grouping import components, joined
from siamclip.cleaning.method_table import METHODS
from siamclip.errors import printable

LABEL_CONFLICT = "label_conflict"


def member_findings(
    photos: PhotoTable, pairs: Sequence[CopyPairs], groups: np.ndarray, keepers: np.ndarray
) -> list[Findings]:
    """One `Findings` a method, with a row for each photo whose pair with its keeper the method saw, and for the keeper.

    `groups`, `keepers`: (N,), as grouping.group gives them. Score: the pair's distance, 0 for a keeper. Rows stand
    by group, the keeper first, then the nearest.
    """
    sizes = np.bincount(groups[groups >= 0])
    return [_of_method(photos, part, groups, keepers, sizes) for part in pairs]


def _of_method(
    photos: PhotoTable, part: CopyPairs, groups: np.ndarray, keepers: np.ndarray, sizes: np.ndarray
) -> Findings:
    pair = np.concatenate(
        [np.flatnonzero(keepers[part.first] == part.second), np.flatnonzero(keepers[part.second] == part.first)]
    )
    member = np.concatenate(
        [part.first[keepers[part.first] == part.second], part.second[keepers[part.second] == part.first]]
    )
    keeper = np.unique(keepers[member])
    rows = np.concatenate([keeper, member])
    is_member = np.arange(len(rows)) >= len(keeper)
    score = np.concatenate([np.zeros(len(keeper)), part.distance[pair].astype(np.float64)])
    inliers = np.full(len(part), -1) if part.inliers is None else part.inliers
    reasons = [f"the best of {sizes[groups[row]]} copies" for row in keeper]
    for row, distance, matches in zip(member, part.distance[pair], inliers[pair], strict=True):
        words = evidence(part.method, float(distance), int(matches))
        reasons.append(f"copy of {printable(photos.paths[keepers[row]])}: {words}")
    order = np.lexsort((rows, score, is_member, groups[rows]))
    return findings(
        part.method,
        rows[order],
        score[order],
        [reasons[i] for i in order],
        flagged=is_member[order],
        keep=~is_member[order],
        group=groups[rows[order]],
        related=np.where(is_member, keepers[rows], -1)[order],
        notes=part.notes,
    )


def label_conflicts(photos: PhotoTable, pairs: Sequence[CopyPairs], rank: np.ndarray, first_group: int = 0) -> Findings:
    """One flagged row, with keep = True, for each photo of these pairs; nothing is ever removed by it.

    `pairs`: of two labels each (see pair_filter.py). `related` is the other photo on the strongest evidence, score its
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
        words = evidence(methods[p], float(distance[p]), int(matches[p]))
        reasons.append(f"the same photo is in {printable(folder)}: {printable(path)}, {words}{more}")
    together, number = np.unique(components(len(photos), (first, second))[rows], return_inverse=True)
    best_of = np.full(len(together), len(photos), np.int64)  # whatever the order of the files, the best photo leads
    np.minimum.at(best_of, number, rank[rows])
    place = np.argsort(np.argsort(best_of))
    return findings(
        LABEL_CONFLICT,
        rows,
        distance[pair[best]],
        reasons,
        keep=True,
        group=place[number] + first_group,
        related=other[best],
    )


def evidence(method: str, distance: float, inliers: int = -1) -> str:
    """ "Hamming distance 3 of 64 (phash), 57 matching points"."""
    words = METHODS[method].evidence.format(distance)
    return f"{words} ({method})" + (f", {inliers} matching points" if inliers >= 0 else "")
