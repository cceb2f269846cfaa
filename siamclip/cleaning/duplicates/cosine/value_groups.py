"""From pairs of distinct values to pairs of the photos that have them, without the square of a crowd.

A search compares distinct values. Of n photos with one value all n (n - 1) / 2 pairs would be true; above `CROWD`
members each is paired only with the best photo of its own label, and these with each other: whichever of them is
kept, every copy hangs on the best one of its label.
"""

from __future__ import annotations

import numpy as np

from siamclip.cleaning.duplicates.cosine.cosine_search import NearPairs

CROWD = 50


def expanded(
    value: np.ndarray, near: NearPairs, labels: np.ndarray, rank: np.ndarray, archived: np.ndarray
) -> NearPairs:
    """Pairs of rows of equal value (distance 0), and of rows whose values are `near`, ordered, each once.

    `value`: (N,) int64, the value's number, negative for rows that take no part. `labels`: (N,). `rank`: (N,), lower
    is better, no place twice. `archived`: (N,) bool; a pair has at most one of these.
    """
    members = _Members(value, rank)
    best = _Members(np.where(_is_representative(value, labels, rank), value, -1), rank)
    crowd = members.count > CROWD
    several = np.flatnonzero(members.count > 1)
    small, large = several[~crowd[several]], several[crowd[several]]
    parts = [
        (*_product(members, members, small, small)[:2], 0.0),
        (*_of_own_label(value, labels, rank, crowd), 0.0),
        (*_product(best, best, large, large)[:2], 0.0),
    ]
    # Between two values: everything, unless that is a crowd's square; then all of each with the best of the other.
    few = members.count[near.first] * members.count[near.second] <= CROWD**2
    for one, other, chosen in ((members, members, few), (members, best, ~few), (best, members, ~few)):
        first, second, pair = _product(one, other, near.first[chosen], near.second[chosen])
        parts.append((first, second, near.distance[chosen][pair]))

    first = np.concatenate([part[0] for part in parts])
    second = np.concatenate([part[1] for part in parts])
    distance = np.concatenate([np.broadcast_to(np.float32(part[2]), len(part[0])) for part in parts])
    wanted = (first != second) & ~(archived[first] & archived[second])
    first, second = np.minimum(first, second)[wanted], np.maximum(first, second)[wanted]
    order = np.lexsort((second, first))
    first, second = first[order], second[order]
    once = np.append(True, (np.diff(first) != 0) | (np.diff(second) != 0))[: len(first)]
    return NearPairs(first[once], second[once], distance[wanted][order][once])


class _Members:
    """Rows by value, the best first."""

    def __init__(self, value: np.ndarray, rank: np.ndarray) -> None:
        number = int(value.max(initial=-1)) + 1
        order = np.lexsort((rank, value))
        self.rows = order[value[order] >= 0]
        self.count = np.bincount(value[self.rows], minlength=number)
        self.start = np.cumsum(self.count) - self.count


def _product(
    left: _Members, right: _Members, first: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(row, row, k) of every member of the value first[k] with every member of second[k]."""
    sizes = left.count[first] * right.count[second]
    pair = np.repeat(np.arange(len(first)), sizes)
    place = np.arange(len(pair)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    one, other = np.divmod(place, np.maximum(right.count[second], 1)[pair])
    return left.rows[left.start[first[pair]] + one], right.rows[right.start[second[pair]] + other], pair


def _is_representative(value: np.ndarray, labels: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """(N,) bool: the best row of its value and label."""
    order = np.lexsort((rank, labels, value))
    starts = np.append(True, (np.diff(value[order]) != 0) | (np.diff(labels[order]) != 0))[: len(order)]
    found = np.zeros(len(value), bool)
    found[order[starts]] = True
    return found


def _of_own_label(
    value: np.ndarray, labels: np.ndarray, rank: np.ndarray, crowd: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Each row of a crowd with the best row of its value and label."""
    rows = np.flatnonzero(value >= 0)
    rows = rows[crowd[value[rows]]]
    order = rows[np.lexsort((rank[rows], labels[rows], value[rows]))]
    starts = np.append(True, (np.diff(value[order]) != 0) | (np.diff(labels[order]) != 0))[: len(order)]
    return order, order[starts][np.cumsum(starts) - 1]
