"""Pairs of values become pairs of photos: all of them for a few, and a star a label for a crowd."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from siamclip.cleaning.duplicates.cosine.cosine_search import NearPairs
from siamclip.cleaning.duplicates.cosine.value_groups import CROWD, expanded


def near(*pairs: tuple[int, int, float]) -> NearPairs:
    first, second, distance = (list(column) for column in zip(*pairs, strict=True)) if pairs else ([], [], [])
    return NearPairs(np.array(first, np.int64), np.array(second, np.int64), np.array(distance, np.float32))


def pairs_of(found: NearPairs) -> dict[tuple[int, int], float]:
    keys = list(zip(found.first.tolist(), found.second.tolist(), strict=True))
    assert keys == sorted(set(keys)) and all(a < b for a, b in keys)
    return dict(zip(keys, found.distance.tolist(), strict=True))


@settings(deadline=None)
@given(st.integers(0, 24), st.integers(0, 2**32 - 1))
def test_a_few_members_give_every_pair(number: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    value = np.unique(rng.integers(0, 6, number), return_inverse=True)[1].reshape(-1).astype(np.int64)
    count = int(value.max(initial=-1)) + 1
    close = {pair: float(rng.integers(1, 8)) for pair in itertools.combinations(range(count), 2) if rng.random() < 0.4}
    value[rng.random(number) < 0.1] = -1
    archived = rng.random(number) < 0.3
    expected = {}
    for a, b in itertools.combinations(range(number), 2):
        if min(value[a], value[b]) < 0 or (archived[a] and archived[b]):
            continue
        key = (int(min(value[a], value[b])), int(max(value[a], value[b])))
        if key[0] == key[1]:
            expected[a, b] = 0.0
        elif key in close:
            expected[a, b] = close[key]
    labels = rng.integers(-1, 3, number)
    present = {key: d for key, d in close.items() if max(key) <= value.max(initial=-1)}
    found = expanded(value, near(*((*key, d) for key, d in present.items())), labels, rng.permutation(number), archived)
    assert pairs_of(found) == expected


def test_a_crowd_becomes_a_star_a_label() -> None:
    number = 3000
    rng = np.random.default_rng(1)
    labels, rank = rng.integers(0, 4, number), rng.permutation(number)
    found = pairs_of(expanded(np.zeros(number, np.int64), near(), labels, rank, np.zeros(number, bool)))
    best = [min(np.flatnonzero(labels == label), key=lambda row: rank[row]) for label in range(4)]
    expected = {(min(a, b), max(a, b)) for a, b in itertools.combinations(map(int, best), 2)}
    expected |= {
        (min(row, int(best[labels[row]])), max(row, int(best[labels[row]])))
        for row in range(number)
        if row != best[labels[row]]
    }
    assert found.keys() == expected
    assert set(found.values()) == {0.0}


def test_crowds_near_each_other_hang_together_by_their_best() -> None:
    """Whichever photo is the best of all, each other photo of its label must be in a pair with it."""
    number = 1200
    rng = np.random.default_rng(2)
    value, labels, rank = rng.integers(0, 2, number), rng.integers(0, 2, number), rng.permutation(number)
    found = pairs_of(expanded(value, near((0, 1, 0.5)), labels, rank, np.zeros(number, bool)))
    assert len(found) < 8 * number
    for label in (0, 1):
        of_label = np.flatnonzero(labels == label)
        best = int(of_label[np.argmin(rank[of_label])])
        for row in of_label.tolist():
            if row != best:
                distance = found[min(row, best), max(row, best)]
                assert distance == (0.0 if value[row] == value[best] else 0.5)


def test_a_crowd_is_one_above_the_limit() -> None:
    for number, pairs in ((CROWD, CROWD * (CROWD - 1) // 2), (CROWD + 1, CROWD)):
        nobody = np.zeros(number, bool)
        found = expanded(np.zeros(number, np.int64), near(), np.zeros(number, int), np.arange(number), nobody)
        assert len(found) == pairs


def test_photos_of_the_archive_are_not_paired_with_each_other_in_a_crowd_either() -> None:
    archived = np.arange(200) < 100
    found = expanded(np.zeros(200, np.int64), near(), np.zeros(200, int), np.arange(200), archived)
    assert pairs_of(found).keys() == {(0, row) for row in range(100, 200)}
