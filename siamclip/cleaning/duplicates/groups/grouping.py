"""Groups of copies around their keepers, and whatever hangs together.

Chains are the known defect of grouping by connected components: A~B~C~D makes one group although A and D differ, and
D goes without a copy of it being kept. Here the photos are taken from the best to the worst (greedy leaders, as in
Hartigan 1975, "Clustering Algorithms", chapter 3, with a fixed order): one that is in a pair with a keeper joins it,
any other becomes a keeper. So every member is within the threshold of its keeper, no two keepers are in a pair, and
the result depends on the pairs and the order of preference alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np

from siamclip.cleaning.contracts import NO_GROUP, CopyPairs
from siamclip.cleaning.method_table import METHODS


def group(pairs: Sequence[CopyPairs], rank: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(group, keeper), both (N,) int64: the number of a photo's group, and the row of the photo that it keeps.

    `rank`: (N,) int64, the place of each photo in the order of preference (see keepers.py). A keeper is its own
    keeper. A photo without a copy has NO_GROUP and keeper -1, and so has one whose copies all joined better
    keepers of their own. Groups are numbered in the order of their keepers. Among several keepers a photo joins
    the one with the strongest evidence: the earlier method of the method table, the smaller distance, the better rank.
    """
    keeper_place = _leaders(*joined(pairs), rank)
    row_at = np.empty(len(rank), np.int64)
    row_at[rank] = np.arange(len(rank))
    members = np.flatnonzero(keeper_place >= 0)  # places
    leaders, numbers = np.unique(keeper_place[members], return_inverse=True)
    groups, keepers = np.full(len(rank), NO_GROUP, np.int64), np.full(len(rank), -1, np.int64)
    groups[row_at[members]], keepers[row_at[members]] = numbers, row_at[keeper_place[members]]
    groups[row_at[leaders]], keepers[row_at[leaders]] = np.arange(len(leaders)), row_at[leaders]
    return groups, keepers


def joined(pairs: Sequence[CopyPairs]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(first, second, strength, distance), each (P,), of all methods; strength 0 is the strongest evidence."""
    order = {name: place for place, name in enumerate(METHODS)}
    return (
        _concatenated([part.first for part in pairs], np.int64),
        _concatenated([part.second for part in pairs], np.int64),
        _concatenated([np.full(len(part), order.get(part.method, len(order)), np.int16) for part in pairs], np.int16),
        _concatenated([part.distance for part in pairs], np.float32),
    )


def components(number: int, *edges: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """(N,) int64: the number of the connected component of each of `number` nodes, in the order of first nodes.

    `edges`: (first, second) arrays of nodes.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first = _concatenated([one for one, _ in edges], np.int64)
    second = _concatenated([other for _, other in edges], np.int64)
    graph = coo_array((np.ones(len(first), bool), (first, second)), shape=(number, number))
    labels = connected_components(graph, directed=False)[1]
    _, where, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(where))[inverse].astype(np.int64)


def _concatenated(parts: list[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate([np.asarray(part, dtype) for part in parts]) if parts else np.empty(0, dtype)


def _leaders(
    first: np.ndarray, second: np.ndarray, strength: np.ndarray, distance: np.ndarray, rank: np.ndarray
) -> np.ndarray:
    """(N,) int64 by place: the place of the keeper that each photo joins, -1 for one that joins none."""
    places = rank.astype(np.int32)
    one, other = places[first], places[second]
    worse, better = np.maximum(one, other), np.minimum(one, other)
    order = np.argsort(worse, kind="stable")
    start = np.searchsorted(worse, np.arange(len(rank) + 1), sorter=order)
    return _compiled()(start, order, better, strength, distance)


@functools.cache
def _compiled() -> Callable[..., np.ndarray]:
    from siamclip.compiled import compiled

    return compiled(_walk)


def _walk(
    start: np.ndarray, order: np.ndarray, better: np.ndarray, strength: np.ndarray, distance: np.ndarray
) -> np.ndarray:
    keeper = np.full(len(start) - 1, -1, np.int64)
    for place in range(len(start) - 1):
        chosen = -1  # the pair
        for at in range(start[place], start[place + 1]):
            pair = order[at]
            if keeper[better[pair]] >= 0:  # that one is a member itself
                continue
            evidence = (strength[pair], distance[pair], better[pair])
            if chosen < 0 or evidence < (strength[chosen], distance[chosen], better[chosen]):
                chosen = pair
        if chosen >= 0:
            keeper[place] = better[chosen]
    return keeper
