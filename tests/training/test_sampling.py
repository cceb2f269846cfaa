"""The pairs and batches of an epoch, against their definitions counted one by one."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamclip.data.pairs import Pairs
from siamclip.training.sampling import PAIRS_AN_ANCHOR, Batch, draw_pairs, identity_batches, pair_batches
from tests.drawn_pairs import as_tuples, collections, labels_of, rng, seeds

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
