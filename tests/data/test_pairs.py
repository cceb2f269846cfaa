"""Pairs and batches, against their definitions counted one by one."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamclip.data.pairs import Pairs, all_pairs, balance, fixed_pairs, ranges
from siamclip.training.mining import hard_negatives
from siamclip.training.sampling import PAIRS_AN_ANCHOR, Batch, draw_pairs, identity_batches, pair_batches

# Photos of each identity: two identities or more, one of them with two photos or more.
collections = st.lists(st.integers(1, 9), min_size=2, max_size=12).filter(lambda counts: max(counts) > 1)
seeds = st.integers(0, 2**32 - 1)


def labels_of(counts: list[int]) -> np.ndarray:
    return np.repeat(np.arange(len(counts)), counts)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def as_tuples(pairs: Pairs) -> list[tuple[int, int, bool]]:
    return list(zip(pairs.first.tolist(), pairs.second.tolist(), pairs.same.tolist(), strict=True))


def test_ranges() -> None:
    starts, counts = ranges(np.array([0, 0, 1, 2, 2, 2]))
    assert (starts.tolist(), counts.tolist()) == ([0, 2, 3], [2, 1, 3])


# -- the pairs of an epoch ------------------------------------------------------------------------------------------


@given(collections, st.integers(2, 25), st.floats(0.01, 0.99), seeds)
def test_every_identity_gets_its_pairs(counts: list[int], samples: int, ratio: float, seed: int) -> None:
    labels = labels_of(counts)
    pairs = draw_pairs(labels, samples, ratio, rng(seed))
    assert len(pairs) == samples * len(counts)
    np.testing.assert_array_equal(pairs.same, labels[pairs.first] == labels[pairs.second])
    assert (pairs.first != pairs.second).all()  # no photo with itself
    for identity, count in enumerate(counts):
        own = labels[pairs.first] == identity
        positives = (own & pairs.same).sum()
        assert own.sum() == samples
        if count == 1:
            assert positives == 0
        else:
            assert 1 <= positives <= samples - 1
            assert abs(positives - samples * ratio) <= 1


@pytest.mark.parametrize(("ratio", "positives"), [(0.5, 10), (0.25, 5), (0.9, 18)])
def test_the_share_of_positive_pairs_is_exact_where_it_divides(ratio: float, positives: int) -> None:
    labels = labels_of([5, 7, 3])
    pairs = draw_pairs(labels, 20, ratio, rng())
    assert np.bincount(labels[pairs.first], weights=pairs.same).tolist() == [positives] * 3


def test_pairs_are_drawn_anew_each_epoch_and_again_under_a_seed() -> None:
    labels = labels_of([6] * 10)
    generator = rng(7)
    one, two = (draw_pairs(labels, 20, 0.5, generator) for _ in range(2))
    again = draw_pairs(labels, 20, 0.5, rng(7))
    assert as_tuples(one) == as_tuples(again)
    assert as_tuples(one) != as_tuples(two)
    assert set(as_tuples(one)) != set(as_tuples(two))


def test_negatives_come_from_all_other_identities() -> None:
    labels = labels_of([1, 4, 2, 3])
    generator = rng(1)
    partners = Counter()
    for _ in range(400):
        pairs = draw_pairs(labels, 8, 0.5, generator)
        chosen = (labels[pairs.first] == 1) & ~pairs.same
        partners.update(pairs.second[chosen].tolist())
    assert partners.keys() == {0, 5, 6, 7, 8, 9}
    # 1600 draws over 6 photos: 267 each, standard deviation 15
    assert all(abs(number - 1600 / 6) < 75 for number in partners.values())


def test_hard_negatives_are_drawn_from_the_anchors_row_alone() -> None:
    labels = labels_of([3, 3, 3])
    neighbours = np.full((9, 2), -1)
    neighbours[:3] = [[4, 8]] * 3
    neighbours[3:6, 0] = 0  # a short row; identity 2 has none at all
    pairs = draw_pairs(labels, 20, 0.5, rng(), neighbours)
    negative = [(labels[a], b) for a, b, same in as_tuples(pairs) if not same]
    assert {b for identity, b in negative if identity == 0} == {4, 8}
    assert {b for identity, b in negative if identity == 1} == {0}
    assert {b for identity, b in negative if identity == 2} <= set(range(6))


@given(collections, st.integers(2, 12), seeds)
def test_runs_share_their_anchor(counts: list[int], samples: int, seed: int) -> None:
    """What makes a batch of pairs cheap: PAIRS_AN_ANCHOR pairs cost that many encodings and one."""
    pairs = draw_pairs(labels_of(counts), PAIRS_AN_ANCHOR * samples, 0.5, rng(seed))
    anchors = pairs.first.reshape(-1, PAIRS_AN_ANCHOR)
    assert (anchors == anchors[:, :1]).all()


# -- batches --------------------------------------------------------------------------------------------------------


@given(collections, st.integers(1, 40), seeds)
def test_a_batch_encodes_each_distinct_photo_once(counts: list[int], batch_size: int, seed: int) -> None:
    pairs = draw_pairs(labels_of(counts), 8, 0.5, rng(seed))
    batches = pair_batches(pairs, batch_size)
    assert [len(batch.pairs) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    seen = []
    for batch in batches:
        assert len(set(batch.photos.tolist())) == len(batch.photos)
        used = np.concatenate([batch.pairs.first, batch.pairs.second])
        assert set(used.tolist()) == set(range(len(batch.photos)))  # and none that no pair needs
        seen += as_tuples(Pairs(batch.photos[batch.pairs.first], batch.photos[batch.pairs.second], batch.pairs.same))
    assert seen == as_tuples(pairs)


@given(collections, seeds, st.data())
def test_without_unreadable_photos_their_pairs_go(counts: list[int], seed: int, data: st.DataObject) -> None:
    batch = Batch.of(draw_pairs(labels_of(counts), 6, 0.5, rng(seed)))
    total = len(batch.photos)
    unreadable = np.array(data.draw(st.lists(st.booleans(), min_size=total, max_size=total)))
    rest = batch.without(unreadable)

    def named(one: Batch) -> list[tuple[int, int, bool]]:
        return as_tuples(Pairs(one.photos[one.pairs.first], one.photos[one.pairs.second], one.pairs.same))

    bad = set(batch.photos[unreadable].tolist())
    assert rest.photos.tolist() == [photo for photo in batch.photos.tolist() if photo not in bad]
    assert named(rest) == [pair for pair in named(batch) if not bad & set(pair[:2])]


@settings(max_examples=200)
@given(collections, st.integers(1, 24), st.integers(2, 6), seeds)
def test_batches_of_identities(counts: list[int], batch_size: int, photos_per_class: int, seed: int) -> None:
    labels = labels_of(counts)
    batches = identity_batches(labels, batch_size, photos_per_class, rng(seed))
    photos = np.concatenate([batch.photos for batch in batches])
    assert sorted(photos.tolist()) == list(range(len(labels)))  # each photo once an epoch
    for batch in batches:
        assert len(set(labels[batch.photos].tolist())) >= 2  # one identity alone has no negative
        expected = {(a, b): labels[x] == labels[y] for (a, x), (b, y) in combinations(enumerate(batch.photos), 2)}
        assert {(a, b): same for a, b, same in as_tuples(batch.pairs)} == expected


def test_batches_of_identities_have_the_size_asked_for() -> None:
    batches = identity_batches(labels_of([8] * 40), 32, 4, rng())
    assert [len(batch.photos) for batch in batches] == [32] * 10
    assert all(Counter(batch.photos // 8).most_common()[0][1] >= 4 for batch in batches)


def test_one_large_identity_does_not_swallow_the_epoch() -> None:
    """Its groups are spread over the epoch, so batches stay small though each needs a second identity."""
    batches = identity_batches(labels_of([400] + [4] * 50), 16, 4, rng(3))
    assert max(len(batch.photos) for batch in batches) <= 40


def test_batches_of_identities_are_drawn_anew_and_again_under_a_seed() -> None:
    labels = labels_of([5] * 12)
    generator = rng(5)
    one, two = ([b.photos.tolist() for b in identity_batches(labels, 16, 4, generator)] for _ in range(2))
    assert one == [batch.photos.tolist() for batch in identity_batches(labels, 16, 4, rng(5))]
    assert one != two


# -- hard negatives -------------------------------------------------------------------------------------------------


@settings(max_examples=50)
@given(collections, st.integers(1, 30), st.integers(1, 7), seeds)
def test_hard_negatives_equal_brute_force(counts: list[int], pool: int, block: int, seed: int) -> None:
    labels = labels_of(counts)
    embeddings = rng(seed).normal(size=(len(labels), 5))
    embeddings = (embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)).astype(np.float32)
    found = hard_negatives(embeddings, labels, pool, block)
    assert found.shape == (len(labels), pool)
    for i, row in enumerate(found):
        others = [j for j in range(len(labels)) if labels[j] != labels[i]]
        others.sort(key=lambda j: -float(embeddings[i] @ embeddings[j]))
        expected = others[:pool]
        assert row[len(expected) :].tolist() == [-1] * (pool - len(expected))
        # two photos at the same distance up to rounding may stand in either order
        np.testing.assert_allclose(
            embeddings[row[: len(expected)]] @ embeddings[i], embeddings[expected] @ embeddings[i], atol=1e-6
        )
        assert set(row[: len(expected)].tolist()) <= set(others)
        assert len(set(row[: len(expected)].tolist())) == len(expected)


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
