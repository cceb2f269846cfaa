"""Cluster-then-compare against a loop over the pairs, and representatives that leave no photo without one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamclip.cleaning.duplicates.cosine import clusters
from siamclip.cleaning.duplicates.cosine.clusters import (
    hdbscan_clusters,
    kmeans_clusters,
    number_of_clusters,
    pairs_in_clusters,
)
from siamclip.cleaning.duplicates.cosine.cosine_search import pairs_above
from siamclip.errors import UserError


def around(places: int, each: int, spread: float, seed: int = 0, dimension: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors (N, D) around places, shuffled, and the place of each."""
    rng = np.random.default_rng(seed)
    place = rng.permutation(np.repeat(np.arange(places), each))
    vectors = rng.standard_normal((places, dimension))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True))[place]
    vectors = vectors + spread * rng.standard_normal(vectors.shape)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), place


@settings(deadline=None, max_examples=40)
@given(
    number=st.integers(0, 60),
    groups=st.integers(1, 5),
    seed=st.integers(0, 1000),
    threshold=st.sampled_from([0.2, 0.8, 0.95]),
)
def test_pairs_of_one_cluster_and_no_others(number: int, groups: int, seed: int, threshold: float) -> None:
    rng = np.random.default_rng(seed)
    vectors = around(max(1, number // 5), 5, 0.1, seed)[0][:number]
    number = len(vectors)
    labels = rng.integers(-1, groups, number)
    asks = rng.random(number) < 0.7
    found, represented = pairs_in_clusters(vectors, labels, threshold, asks, rng.permutation(number))
    expected = {
        (i, j)
        for i in range(number)
        for j in range(i + 1, number)
        if labels[i] == labels[j] >= 0 and (asks[i] or asks[j]) and vectors[i] @ vectors[j] >= threshold
    }
    assert represented == 0
    assert set(zip(found.first.tolist(), found.second.tolist(), strict=True)) == expected


def test_a_dense_cluster_is_represented_by_its_best_photos() -> None:
    vectors, place = around(3, 120, 0.01)
    rank = np.random.default_rng(1).permutation(len(vectors))
    found, represented = pairs_in_clusters(
        vectors, np.zeros(len(vectors), int), 0.95, np.ones(len(vectors), bool), rank
    )
    assert represented == 1
    assert len(found) == len(vectors) - 3  # not 3 * 120 * 119 / 2
    best = {int(min(np.flatnonzero(place == p), key=lambda row: rank[row])) for p in range(3)}
    centres = {a if rank[a] < rank[b] else b for a, b in zip(found.first.tolist(), found.second.tolist(), strict=True)}
    assert centres == best
    assert set(found.first) | set(found.second) == set(range(len(vectors)))


def test_every_photo_of_a_dense_cluster_is_within_the_threshold_of_its_representative() -> None:
    """A continuum, as from a passing car: chained, and wider than the threshold."""
    angles = np.linspace(0, 1.5, 800)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    rank = np.random.default_rng(2).permutation(800)
    found, represented = pairs_in_clusters(vectors, np.zeros(800, int), 0.95, np.ones(800, bool), rank)
    assert represented == 1 and len(found) < 800
    exact = pairs_above(vectors, 0.95)
    all_pairs = set(zip(exact.first.tolist(), exact.second.tolist(), strict=True))
    assert set(zip(found.first.tolist(), found.second.tolist(), strict=True)) <= all_pairs
    better_first = rank[found.first] < rank[found.second]
    centres = set(np.where(better_first, found.first, found.second))
    members = np.where(better_first, found.second, found.first)
    assert len(set(members)) == len(members) and not centres & set(members)
    assert centres | set(members) == set(range(800))


def test_in_a_dense_cluster_the_archive_represents_and_is_not_represented() -> None:
    vectors, _ = around(1, 200, 0.01)
    asks = np.arange(200) >= 100
    found, represented = pairs_in_clusters(vectors, np.zeros(200, int), 0.95, asks, np.arange(200)[::-1])
    assert represented == 1
    assert len(found) == 100
    assert not asks[found.first].any() and asks[found.second].all()


def test_kmeans_finds_separate_places() -> None:
    vectors, place = around(6, 30, 0.02)
    labels = kmeans_clusters(vectors, 12, seed=1)
    assert labels.shape == (180,) and labels.min() >= 0
    assert all(len(set(place[labels == label])) == 1 for label in set(labels))
    assert (labels == kmeans_clusters(vectors, 12, seed=1)).all()
    assert len(kmeans_clusters(vectors[:3], 12)) == 3


def test_hdbscan_finds_copies_and_calls_the_rest_noise() -> None:
    vectors, place = around(5, 8, 0.01)
    loners = around(20, 1, 0.0, seed=7)[0]
    labels = hdbscan_clusters(np.concatenate([vectors, loners]))
    assert all(len(set(labels[:40][place == p])) == 1 for p in range(5))
    assert len(set(labels[:40])) == 5 and -1 not in labels[:40]
    assert (labels[40:] == -1).mean() > 0.5
    assert list(hdbscan_clusters(vectors[:1])) == [-1]


def test_hdbscan_refuses_what_would_take_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "HDBSCAN_LIMIT", 10)
    with pytest.raises(UserError, match="use kmeans"):
        hdbscan_clusters(around(11, 1, 0.0)[0])


def test_more_photos_get_more_clusters() -> None:
    assert [number_of_clusters(n) for n in (0, 1, 2, 5000, 1_000_000)] == [1, 1, 1, 50, 707]
