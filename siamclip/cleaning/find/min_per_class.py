"""Cleaning must not use up an identity: the best of the photos that would go stay where too few would be left."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from siamclip.cleaning.contracts import NO_LABEL, CopyPairs, PhotoTable
from siamclip.cleaning.duplicates.groups.evidence import IDENTICAL
from siamclip.cleaning.duplicates.groups.grouping import components


def spared(
    photos: PhotoTable,
    remove: np.ndarray,
    rank: np.ndarray,
    keeper: np.ndarray,
    copies: Sequence[CopyPairs],
    least: int,
) -> np.ndarray:
    """(N,) bool: photos to keep although `remove` (N,) bool says otherwise, so that each identity keeps `least`.

    An identity that has fewer photos keeps as many as it has. Photos with the same bytes or pixels count as one, and
    so at most one of them is spared: a second one would teach nothing. Photos without a copy that stays come
    first, then the better `rank` (N,). `keeper`: (N,), as grouping.group gives it. Unreadable files and
    photos without a label do not count.
    """
    identical = components(len(photos), *((part.first, part.second) for part in copies if part.method in IDENTICAL))
    rows = np.flatnonzero(photos.readable & (photos.labels != NO_LABEL))
    labels = photos.labels[rows]
    _, one, different = np.unique(labels * len(photos) + identical[rows], return_index=True, return_inverse=True)
    stays = np.bincount(different, ~remove[rows]) > 0  # of each different photo
    number = len(photos.identities)
    present = np.bincount(labels[one], minlength=number)
    kept = np.bincount(labels[one], stays, minlength=number).astype(np.int64)
    missing = np.minimum(present, least) - kept

    candidates = ~stays[different]
    rows, labels, different = rows[candidates], labels[candidates], different[candidates]
    has_copy = (keeper[rows] >= 0) & (keeper[rows] != rows) & ~remove[keeper[rows]]
    order = np.lexsort((rank[rows], has_copy, labels))
    order = order[np.sort(np.unique(different[order], return_index=True)[1])]  # the best of each different photo
    rows, labels = rows[order], labels[order]
    nth = np.arange(len(rows)) - np.searchsorted(labels, labels)  # 0 is the first of its identity
    result = np.zeros(len(photos), bool)
    result[rows[nth < missing[labels]]] = True
    return result
