"""Distances against the definition, and all-pairs histograms against brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamclip.metrics import verification
from siamclip.metrics.pair_distances import PairHistogram, pair_distances, pair_histogram


def unit_vectors(seed: int, count: int, dimensions: int = 24) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, dimensions)) + 0.3
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def brute_force(vectors: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    pairs = list(itertools.combinations(range(len(vectors)), 2))
    exact = vectors.astype(np.float64)
    distances = np.array([np.linalg.norm(exact[i] - exact[j]) for i, j in pairs])
    return distances, np.array([labels[i] == labels[j] for i, j in pairs])


def test_published_distances_of_cosines() -> None:
    cosine = np.array([0.9, 0.8, 0.7, 0.5, 0.0])
    vectors = np.stack([np.append(1, cosine), np.append(0, np.sqrt(1 - cosine**2))], axis=1)
    pairs = np.array([[0, other] for other in range(1, 6)])
    assert pair_distances(vectors, pairs) == pytest.approx([0.447, 0.632, 0.775, 1.0, 1.414], abs=5e-4)


def test_distance_keeps_its_precision_near_zero() -> None:
    angle = 1e-5
    vectors = np.array([[1, 0], [np.cos(angle), np.sin(angle)], [1, 0]], dtype=np.float32)
    distances = pair_distances(vectors, np.array([[0, 1], [0, 2]]))
    assert distances.dtype == np.float32
    assert distances[0] == pytest.approx(angle, rel=1e-3)
    assert distances[1] == 0


@given(st.integers(0, 1000), st.integers(0, 40), st.integers(1, 50))
def test_pair_distances_equal_loop_for_any_block(seed: int, count: int, block: int) -> None:
    vectors = unit_vectors(seed, 10)
    pairs = np.random.default_rng(seed).integers(0, 10, size=(count, 2))
    exact = vectors.astype(np.float64)
    expected = [np.linalg.norm(exact[i] - exact[j]) for i, j in pairs]
    np.testing.assert_allclose(pair_distances(vectors, pairs, block=block), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("pairs", [[[0, 10]], [[-1, 0]]])
def test_pair_outside_the_embeddings(pairs: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="10 embeddings"):
        pair_distances(unit_vectors(0, 10), np.array(pairs))


@given(st.integers(0, 1000), st.integers(2, 40), st.integers(1, 50), st.sampled_from([1, 10, 2000]))
@settings(max_examples=50)
def test_histogram_equals_brute_force_for_any_block(seed: int, count: int, block: int, bins: int) -> None:
    vectors = unit_vectors(seed, count)
    labels = np.random.default_rng(seed).integers(0, 5, size=count).astype(str)
    histogram = pair_histogram(vectors, labels, bins=bins, block=block)
    distances, same = brute_force(vectors, labels)
    assert histogram.same_counts.sum() == same.sum()
    assert histogram.different_counts.sum() == (~same).sum()
    # Float32 may move a pair over an edge that it is within 1e-5 of, and over no other.
    for counts, exact in (
        (histogram.same_counts, distances[same]),
        (histogram.different_counts, distances[~same]),
    ):
        up_to = np.cumsum(counts)
        upper = histogram.edges[1:]
        assert (up_to >= (exact[:, None] < upper - 1e-5).sum(axis=0)).all()
        assert (up_to <= (exact[:, None] < upper + 1e-5).sum(axis=0)).all()


def test_equal_and_opposite_vectors_fall_into_the_first_and_the_last_bins() -> None:
    vectors = np.concatenate([unit_vectors(0, 1, 512)] * 2 + [-unit_vectors(0, 1, 512)])
    histogram = pair_histogram(vectors, np.array([0, 0, 1]))
    assert histogram.same_counts[:2].sum() == 1
    assert histogram.different_counts[-1] == 2


def test_summary_of_a_histogram_equals_that_of_all_pairs() -> None:
    vectors = unit_vectors(1, 120)
    labels = np.arange(120) // 6
    vectors += 0.5 * unit_vectors(2, 20)[labels]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    exact = verification.summary(*brute_force(vectors, labels), threshold=0.9)
    binned = pair_histogram(vectors, labels).summary(threshold=0.9)
    assert binned.keys() == exact.keys()
    # 7,140 pairs in steps of 0.001: a bin holds some 20 different pairs, 1 same pair is 0.0033 of TAR.
    assert binned == pytest.approx(exact, abs=0.007)
    assert binned["auc"] == pytest.approx(exact["auc"], abs=1e-3)


def test_threshold_of_a_histogram_lies_in_the_gap_not_at_its_brim() -> None:
    edges = np.linspace(0, 2, 11)
    same, different = np.zeros(10, dtype=int), np.zeros(10, dtype=int)
    same[1], different[7] = 5, 9
    pairs = PairHistogram(edges, same, different).weighted_pairs()
    distances, is_same, weights = pairs
    assert verification.choose_threshold(distances, is_same, "f1", weights=weights) == pytest.approx(0.9)


def test_labels_must_fit() -> None:
    with pytest.raises(ValueError, match="labels"):
        pair_histogram(unit_vectors(0, 4), np.array([1, 2]))
