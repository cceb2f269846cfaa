"""Signs of collapse on spaces whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from siamclip.metrics.collapse import collapse_report, effective_rank, mean_random_cosine


def normalised(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def random_directions(count: int, dimensions: int, seed: int = 0) -> np.ndarray:
    return normalised(np.random.default_rng(seed).standard_normal((count, dimensions)))


def test_mean_cosine_equals_that_of_all_pairs() -> None:
    vectors = normalised(np.random.default_rng(1).standard_normal((50, 8)) + 0.7)
    cosines = vectors.astype(np.float64) @ vectors.T
    every_pair = cosines[~np.eye(50, dtype=bool)].mean()
    assert mean_random_cosine(vectors, seed=0, pairs=200_000) == pytest.approx(every_pair, abs=0.005)


def test_mean_cosine_never_pairs_a_row_with_itself_and_follows_the_seed() -> None:
    opposite = np.array([[1, 0], [-1, 0]], dtype=np.float32)
    assert mean_random_cosine(opposite, seed=0, pairs=100) == -1
    vectors = random_directions(40, 4)
    first = mean_random_cosine(vectors, seed=5, pairs=50)
    assert first == mean_random_cosine(vectors, seed=5, pairs=50) != mean_random_cosine(vectors, seed=6, pairs=50)


@pytest.mark.parametrize("directions", [1, 2, 5])
def test_effective_rank_counts_equal_directions(directions: int) -> None:
    axes = np.eye(8, dtype=np.float32)[:directions]
    assert effective_rank(np.concatenate([axes, -axes])) == pytest.approx(directions)


def test_effective_rank_equals_the_definition_of_roy_and_vetterli() -> None:
    vectors = normalised(np.random.default_rng(2).standard_normal((60, 10)) * np.arange(1, 11))
    singular = np.linalg.svd(vectors - vectors.mean(axis=0, dtype=np.float64), compute_uv=False)
    share = singular / singular.sum()
    assert effective_rank(vectors) == pytest.approx(np.exp(-np.sum(share * np.log(share))), rel=1e-6)


def test_effective_rank_ignores_a_direction_that_all_share() -> None:
    angles = np.array([1.0, -1.0, 2.0, -2.0])
    cone = np.stack([np.cos(angles), np.sin(angles)], axis=1) * 0.1
    vectors = np.concatenate([cone, np.full((4, 1), np.sqrt(1 - 0.01))], axis=1)
    assert effective_rank(vectors) <= 2 + 1e-6


def test_equal_rows_have_no_rank_even_after_rounding() -> None:
    vectors = np.repeat(random_directions(1, 512), 100, axis=0)
    assert effective_rank(vectors) == 0


def test_healthy_space() -> None:
    report = collapse_report(random_directions(300, 64))
    assert not report.collapsed
    assert report.reason == ""
    assert report.effective_rank > 50


def test_point_collapse_is_seen_by_the_cosine_alone() -> None:
    crowded = normalised(np.eye(64)[0] + 0.02 * np.random.default_rng(0).standard_normal((300, 64)))
    report = collapse_report(crowded)
    assert report.collapsed
    assert "mean cosine" in report.reason
    assert "effective rank" not in report.reason


def test_line_collapse_is_seen_by_the_rank_alone() -> None:
    angles = np.random.default_rng(0).uniform(0, np.pi, 300)
    arc = np.pad(np.stack([np.cos(angles), np.sin(angles)], axis=1), ((0, 0), (0, 62)))
    report = collapse_report(arc)
    assert report.collapsed
    assert "effective rank" in report.reason
    assert "mean cosine" not in report.reason


def test_limits_are_arguments_and_tiny_sets_are_not_asked_for_more_than_they_can_have() -> None:
    twenty_of_64 = np.pad(random_directions(300, 20), ((0, 0), (0, 44)))
    assert not collapse_report(twenty_of_64).collapsed
    assert collapse_report(twenty_of_64, rank_limit=30).collapsed
    assert collapse_report(twenty_of_64, cosine_limit=-0.5).collapsed
    assert not collapse_report(np.array([[1, 0], [0, 1], [-1, 0]])).collapsed


def test_one_embedding_cannot_be_judged() -> None:
    with pytest.raises(ValueError, match="at least two"):
        collapse_report(random_directions(1, 4))
