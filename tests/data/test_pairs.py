"""Pairs to measure on, against their definitions counted one by one."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siamclip.data.pairs import all_pairs, balance, fixed_pairs, ranges
from tests.drawn_pairs import as_tuples, collections, labels_of, seeds


def test_ranges() -> None:
    starts, counts = ranges(np.array([0, 0, 1, 2, 2, 2]))
    assert (starts.tolist(), counts.tolist()) == ([0, 2, 3], [2, 1, 3])


# -- fixed pairs ----------------------------------------------------------------------------------------------------


@given(collections, st.integers(2, 20), st.floats(0.01, 0.99), seeds)
def test_fixed_pairs_are_fixed_and_none_comes_twice(counts: list[int], number: int, ratio: float, seed: int) -> None:
    labels = labels_of(counts)
    pairs = fixed_pairs(labels, number, ratio, seed)
    found = as_tuples(pairs)
    assert found == as_tuples(fixed_pairs(labels, number, ratio, seed))
    assert len({frozenset((a, b)) for a, b, _ in found}) == len(found)
    assert all(a < b for a, b, _ in found)
    np.testing.assert_array_equal(pairs.same, labels[pairs.first] == labels[pairs.second])
    assert 0 < pairs.same.sum() < len(pairs)  # both kinds: no figure can do without
    wanted = min(max(1, round(number * ratio)), number - 1)
    for identity, count in enumerate(counts):
        positives = (pairs.same & (labels[pairs.first] == identity)).sum()
        assert positives == min(wanted, count * (count - 1) // 2)


def test_fixed_pairs_depend_on_the_seed_and_not_on_training() -> None:
    labels = labels_of([6] * 8)
    assert as_tuples(fixed_pairs(labels, 10, 0.5, 1)) != as_tuples(fixed_pairs(labels, 10, 0.5, 2))


def test_fixed_pairs_of_an_identity_with_thousands_of_photos() -> None:
    labels = labels_of([3000, 2])
    pairs = fixed_pairs(labels, 40, 0.5, 0)
    positive = pairs.first[pairs.same & (labels[pairs.first] == 0)]
    assert len(positive) == 20
    assert positive.max() > 1000  # from all of them, not from the first few


# -- all pairs ------------------------------------------------------------------------------------------------------


@given(collections)
def test_all_pairs_are_all(counts: list[int]) -> None:
    labels = labels_of(counts)
    found = as_tuples(all_pairs(labels, 10**6, 0))
    assert len(found) == len(set(found))
    assert set(found) == {(a, b, labels[a] == labels[b]) for a, b in combinations(range(len(labels)), 2)}


@given(collections, st.floats(0, 1), seeds)
def test_sampled_negatives_are_distinct_and_as_many_as_asked_for(counts: list[int], share: float, seed: int) -> None:
    labels = labels_of(counts)
    every = all_pairs(labels, 10**6, 0)
    limit = max(1, int(share * (~every.same).sum()))
    pairs = all_pairs(labels, limit, seed)
    found = as_tuples(pairs)
    assert len(found) == len(set(found))
    assert set(found) <= set(as_tuples(every))
    assert pairs.same.sum() == every.same.sum()
    assert (~pairs.same).sum() == limit
    assert found == as_tuples(all_pairs(labels, limit, seed))


def test_sampled_negatives_come_from_everywhere() -> None:
    labels = labels_of([10] * 20)
    pairs = all_pairs(labels, 2000, 0)
    negative = ~pairs.same
    met = Counter(labels[pairs.first[negative]].tolist()) + Counter(labels[pairs.second[negative]].tolist())
    # each identity is in 4000 / 20 = 200 of them on average, standard deviation 13
    assert len(met) == 20 and all(130 < number < 270 for number in met.values())


@given(st.lists(st.booleans(), min_size=2).filter(lambda same: 0 < sum(same) < len(same)), st.floats(0.01, 0.99))
def test_balance(same: list[bool], ratio: float) -> None:
    mask = np.array(same)
    weights = balance(mask, ratio)
    assert weights.sum() == pytest.approx(len(same))
    assert np.average(mask, weights=weights) == pytest.approx(ratio)
    assert len(set(weights[mask])) == len(set(weights[~mask])) == 1
