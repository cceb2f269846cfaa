"""The groups of copies as findings: who belongs to which keeper, and on whose evidence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from siamclip.cleaning.contracts import CopyPairs, Findings, PhotoTable, findings
from siamclip.cleaning.duplicates.groups.evidence import in_words
from siamclip.errors import printable


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
        evidence = in_words(part.method, float(distance), int(matches))
        reasons.append(f"copy of {printable(photos.paths[keepers[row]])}: {evidence}")
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
