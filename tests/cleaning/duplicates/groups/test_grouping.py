"""Groups of copies: the laws that they keep, and the defects of other cleaners that follow from breaking them."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from siamclip.cleaning.contracts import NO_GROUP, CopyPairs
from siamclip.cleaning.duplicates.groups.grouping import components, group
from tests.cleaning.photo_tables import pairs_of, permuted_pairs

METHODS = ("exact", "phash", "semantic")


@st.composite
def pairs_among(draw: st.DrawFn, number: int) -> list[CopyPairs]:
    every = list(combinations(range(number), 2))
    found = []
    for method in draw(st.lists(st.sampled_from(METHODS), unique=True, max_size=3)):
        some = draw(st.lists(st.sampled_from(every), unique=True, max_size=20)) if every else []
        found.append(pairs_of(method, *((a, b, draw(st.integers(0, 5))) for a, b in some)))
    return found


@st.composite
def collections(draw: st.DrawFn) -> tuple[list[CopyPairs], np.ndarray]:
    number = draw(st.integers(1, 10))
    return draw(pairs_among(number)), np.array(draw(st.permutations(range(number))), np.int64)


def edges_of(pairs: list[CopyPairs]) -> dict[tuple[int, int], tuple[int, float]]:
    """Both directions of each pair -> its strongest evidence."""
    found: dict[tuple[int, int], tuple[int, float]] = {}
    for part in pairs:
        for a, b, distance in zip(part.first.tolist(), part.second.tolist(), part.distance.tolist(), strict=True):
            for edge in ((a, b), (b, a)):
                found[edge] = min(found.get(edge, (9, 9.0)), (METHODS.index(part.method), distance))
    return found


def by_hand(pairs: list[CopyPairs], rank: np.ndarray) -> dict[int, int]:
    """Member or keeper of a group -> keeper, as the rule says it."""
    edges, keeper_of = edges_of(pairs), {}
    for row in np.argsort(rank).tolist():
        keepers = [other for other in keeper_of if keeper_of[other] == other and (row, other) in edges]
        keeper_of[row] = min(keepers, key=lambda k: (*edges[row, k], rank[k])) if keepers else row
    with_members = {keeper for row, keeper in keeper_of.items() if row != keeper}
    return {row: keeper for row, keeper in keeper_of.items() if keeper in with_members}


@given(collections())
def test_groups_are_what_the_rule_says(collection: tuple[list[CopyPairs], np.ndarray]) -> None:
    pairs, rank = collection
    groups, keepers = group(pairs, rank)
    expected = by_hand(pairs, rank)
    assert {row: int(keeper) for row, keeper in enumerate(keepers) if keeper >= 0} == expected
    assert ((groups == NO_GROUP) == (keepers == -1)).all()
    leaders = sorted({int(k) for k in keepers if k >= 0}, key=lambda row: rank[row])
    assert [int(groups[row]) for row in leaders] == list(range(len(leaders)))
    assert (groups[keepers >= 0] == groups[keepers[keepers >= 0]]).all()


@given(collections())
def test_the_laws_of_groups(collection: tuple[list[CopyPairs], np.ndarray]) -> None:
    pairs, rank = collection
    _, keepers = group(pairs, rank)
    edges = edges_of(pairs)
    goes = {row for row, keeper in enumerate(keepers.tolist()) if keeper not in (-1, row)}
    for row in goes:
        keeper = int(keepers[row])
        assert (row, keeper) in edges  # within the threshold of the keeper, directly
        assert keeper not in goes  # and that stays
        assert rank[keeper] < rank[row]
    for a, b in edges:
        assert a in goes or b in goes  # nothing is left that still has a copy


@given(collections(), st.randoms(use_true_random=False))
def test_the_order_of_the_files_changes_nothing(collection: tuple[list[CopyPairs], np.ndarray], random: Any) -> None:
    pairs, rank = collection
    to = list(range(len(rank)))
    random.shuffle(to)
    shuffled = [permuted_pairs(part, np.array(to)) for part in pairs]
    random.shuffle(shuffled)
    groups, keepers = group(pairs, rank)
    other_groups, other_keepers = group(shuffled, rank[to])
    assert other_groups.tolist() == groups[to].tolist()
    assert [to[k] if k >= 0 else -1 for k in other_keepers] == keepers[to].tolist()


def test_a_chain_is_not_one_group() -> None:
    """A~B~C~D, but A and D are far apart: D must not go in favour of A."""
    chain = pairs_of("phash", (0, 1, 5), (1, 2, 5), (2, 3, 5))
    _, keepers = group([chain], np.array([0, 1, 2, 3]))
    assert keepers.tolist() == [0, 0, 2, 2]
    _, keepers = group([chain], np.array([1, 0, 2, 3]))  # B is the best: D has no copy that stays, and stays itself
    assert keepers.tolist() == [1, 1, 1, -1]


def test_a_photo_joins_the_keeper_with_the_strongest_evidence() -> None:
    rank = np.array([0, 1, 2, 3])
    semantic, phash = pairs_of("semantic", (0, 3, 0.0)), pairs_of("phash", (1, 3, 4), (2, 3, 2))
    assert group([semantic, phash], rank)[1].tolist() == [-1, -1, 3 - 1, 3 - 1]
    assert group([semantic, phash, pairs_of("exact", (1, 3, 0))], rank)[1].tolist() == [-1, 1, -1, 1]
    equal = pairs_of("phash", (0, 3, 2), (1, 3, 2))
    assert group([equal], rank)[1].tolist() == [0, -1, -1, 0]


def test_no_pairs() -> None:
    for pairs in ([], [pairs_of("phash")]):
        groups, keepers = group(pairs, np.array([1, 0]))
        assert groups.tolist() == keepers.tolist() == [-1, -1]
    assert [len(values) for values in group([], np.empty(0, np.int64))] == [0, 0]


def test_many_copies_of_one_photo_are_one_group() -> None:
    first, second = np.triu_indices(600, 1)
    pairs = CopyPairs("exact", first, second, np.zeros(len(first), np.float32))
    _, keepers = group([pairs], np.arange(600)[::-1].copy())
    assert (keepers == 599).all()


@given(st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), pairs_among(n))))
def test_components_are_what_can_be_reached(collection: tuple[int, list[CopyPairs]]) -> None:
    number, pairs = collection
    neighbours = edges_of(pairs)
    expected = list(range(number))
    for start in range(number):
        reached, todo = {start}, [start]
        while todo:
            here = todo.pop()
            todo += (new := [b for a, b in neighbours if a == here and b not in reached])
            reached |= set(new)
        expected[start] = min(reached)
    found = components(number, *((part.first, part.second) for part in pairs))
    firsts = sorted(set(expected))
    assert found.tolist() == [firsts.index(first) for first in expected]


def test_a_pair_that_is_given_256_times_still_connects() -> None:
    """Counts in bytes would wrap to zero."""
    edge = (np.zeros(256, np.int64), np.ones(256, np.int64))
    assert components(3, edge, edge).tolist() == [0, 0, 1]
