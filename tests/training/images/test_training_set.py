"""Batches of photos and mixed images: who is in them, and what their pairs are worth."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamclip.data.collection import Collection
from siamclip.data.pairs import Pairs
from siamclip.training.images.augmented_images import AugmentedImages
from siamclip.training.images.training_set import TrainingSet
from siamclip.training.sampling import Batch, draw_pairs, identity_batches, pair_batches
from siamclip.training.soft_labels import SoftLabels

seeds = st.integers(0, 2**32 - 1)
COUNTS = [3, 1, 4, 2]
LABELS = np.repeat(np.arange(4), COUNTS)


def made(rows: list[dict[int, float]], folder: str = "out") -> AugmentedImages:
    """Images whose labels are given as identity -> share."""
    width = max(map(len, rows), default=1)
    identities, shares = np.zeros((len(rows), width), np.int64), np.zeros((len(rows), width))
    for i, row in enumerate(rows):
        identities[i, : len(row)], shares[i, : len(row)] = list(row), list(row.values())
    names = [f"{i}.png" for i in range(len(rows))]
    return AugmentedImages(Path(folder), names, SoftLabels(identities, shares), Counter(), [])


def photos(*folders: AugmentedImages) -> TrainingSet:
    names = [f"{label}/{i}.png" for i, label in enumerate(LABELS)]
    return TrainingSet(Collection(Path("data"), names, LABELS, ["A", "B", "C", "D"]), folders)


# Photos number 10 to 13, then 14.
ROWS = [{1: 1.0}, {0: 0.5, 2: 0.5}, {0: 0.8, 1: 0.2}, {3: 0.4, 2: 0.6}]
BOTH = photos(made(ROWS), made([{2: 1.0}], "second"))


def shares(i: int) -> dict[int, float]:
    return {int(LABELS[i]): 1.0} if i < 10 else [*ROWS, {2: 1.0}][i - 10]


def agreement_of(a: dict[int, float], b: dict[int, float]) -> float:
    return sum(min(share, b.get(identity, 0.0)) for identity, share in a.items())


def as_lists(batches: list[Batch]) -> list[list[list[float]]]:
    return [
        [b.photos.tolist(), b.pairs.first.tolist(), b.pairs.second.tolist(), b.pairs.same.tolist()] for b in batches
    ]


def worth(collection: TrainingSet, batch: Batch) -> np.ndarray:
    number = len(batch.photos)
    return collection.pairs_of(batch, np.arange(number), np.ones(number, np.float32)).same


def test_photos_come_first_and_keep_their_numbers() -> None:
    assert len(BOTH) == 15
    assert BOTH.names[:10] == photos().names
    assert BOTH.names[10] == "out/0.png"
    assert BOTH.files[14] == Path("second/0.png")


@given(seeds)
def test_without_made_images_batches_are_those_of_the_labels(seed: int) -> None:
    def rng() -> np.random.Generator:
        return np.random.default_rng(seed)

    plain = photos()
    neighbours = np.where(LABELS[:, None] == 0, [[9, -1]], [[0, 1]])
    for near in (None, neighbours):
        pairs = draw_pairs(LABELS, 6, 0.5, rng(), near)
        assert as_lists(plain.pair_batches(5, 6, 0.5, rng(), near)) == as_lists(pair_batches(pairs, 5))
    assert as_lists(plain.identity_batches(5, 2, rng())) == as_lists(identity_batches(LABELS, 5, 2, rng()))
    for batch in plain.pair_batches(5, 6, 0.5, rng(), None):
        np.testing.assert_array_equal(worth(plain, batch), batch.pairs.same)


@settings(max_examples=30)
@given(seeds, st.sampled_from(["pairs", "identities"]))
def test_what_a_pair_is_worth_follows_from_both_labels(seed: int, batching: str) -> None:
    rng = np.random.default_rng(seed)
    if batching == "pairs":
        batches = BOTH.pair_batches(5, 8, 0.5, rng, None)
    else:
        batches = BOTH.identity_batches(6, 3, rng)
        assert sorted(np.concatenate([batch.photos for batch in batches])) == list(range(15))  # each once
    for batch in batches:
        for first, second, y in zip(batch.pairs.first, batch.pairs.second, worth(BOTH, batch), strict=True):
            a, b = int(batch.photos[first]), int(batch.photos[second])
            assert a != b
            assert y == pytest.approx(agreement_of(shares(a), shares(b)), abs=1e-6)


def test_mixed_images_meet_each_of_their_identities_and_others() -> None:
    rng = np.random.default_rng(0)
    met: Counter[float] = Counter()
    for _ in range(200):
        for batch in BOTH.pair_batches(1, 8, 0.5, rng, None):
            first, second = batch.photos[batch.pairs.first[0]], batch.photos[batch.pairs.second[0]]
            if 12 in (first, second) and min(first, second) < 10:
                met[round(float(worth(BOTH, batch)[0]), 3)] += 1
    assert set(met) == {0.8, 0.2, 0.0}  # with photos of 0, of 1, and of others
    assert met[0.8] > met[0.2] > 20


def test_a_batch_that_is_mixed_as_well() -> None:
    number, rng = len(BOTH), np.random.default_rng(2)
    first, second = np.triu_indices(number, k=1)
    batch = Batch(np.arange(number), Pairs(first, second, np.zeros(len(first), bool)))
    partner, share = rng.permutation(number), rng.random(number).astype(np.float32)
    found = BOTH.pairs_of(batch, partner, share).same

    def mixed(i: int) -> dict[int, float]:
        own, other = shares(i), shares(int(partner[i]))
        return {c: share[i] * own.get(c, 0.0) + (1 - share[i]) * other.get(c, 0.0) for c in {*own, *other}}

    for first, second, y in zip(batch.pairs.first, batch.pairs.second, found, strict=True):
        assert y == pytest.approx(agreement_of(mixed(int(first)), mixed(int(second))), abs=1e-6)


def test_hard_negatives_share_no_identity_and_are_readable() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(15, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[3] = np.nan
    nearest = BOTH.hard_negatives(vectors, 6)
    for i in set(range(15)) - {3}:
        allowed = [j for j in range(15) if j != 3 and agreement_of(shares(i), shares(j)) == 0]
        order = sorted(allowed, key=lambda j: -float(vectors[i] @ vectors[j]))
        found = nearest[i][nearest[i] >= 0].tolist()
        assert set(found) <= set(order)
        assert found == [j for j in order if j in found]
        assert 3 not in found
        assert len(found) >= min(5, len(order))  # a place may have gone to the unreadable one
    for batch in BOTH.pair_batches(4, 12, 0.5, rng, nearest):
        negative = worth(BOTH, batch) == 0
        first, second = (batch.photos[side[negative]] for side in (batch.pairs.first, batch.pairs.second))
        assert all(b in nearest[a] or (nearest[a] < 0).all() for a, b in zip(first, second, strict=True))
