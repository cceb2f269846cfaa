"""Similarities of feature vectors, against SciPy and by hand, and draws in proportion to them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cosine as scipy_cosine
from scipy.special import softmax
from scipy.stats import chisquare, entropy

from siamclip.augmentation.mix.similarity import Measure, draw_partners, log_similarities, partner_log_weights

MEASURES: tuple[Measure, ...] = ("cosine", "euclidean", "kl")


def vectors(number: int, dimension: int = 5, seed: int = 0) -> torch.Tensor:
    return torch.randn(number, dimension, generator=torch.Generator().manual_seed(seed))


def by_hand(a: np.ndarray, b: np.ndarray, measure: Measure, temperature: float) -> float:
    if measure == "cosine":
        return 1 - scipy_cosine(a, b) / 2  # SciPy's is the distance, 1 - cos
    if measure == "euclidean":
        return float(1 / (1 + math.dist(a, b)))
    p, q = softmax(a / temperature), softmax(b / temperature)
    return math.exp(-(entropy(p, q) + entropy(q, p)) / 2)


@pytest.mark.parametrize("measure", MEASURES)
@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), temperature=st.floats(0.3, 10))
def test_equal_to_scipy(measure: Measure, seed: int, temperature: float) -> None:
    first, others = vectors(3, seed=seed), vectors(4, seed=seed + 1)
    found = log_similarities(first, others, measure, temperature).exp().numpy()
    assert found.shape == (3, 4)
    for i, a in enumerate(first.double().numpy()):
        for j, b in enumerate(others.double().numpy()):
            assert found[i, j] == pytest.approx(by_hand(a, b, measure, temperature), rel=1e-9)


@pytest.mark.parametrize("measure", MEASURES)
@settings(max_examples=25)
@given(seed=st.integers(0, 10**6))
def test_one_for_equal_vectors_symmetric_and_within_0_and_1(measure: Measure, seed: int) -> None:
    points = vectors(5, seed=seed)
    found = log_similarities(points, points, measure, 0.5).exp()
    torch.testing.assert_close(found.diagonal(), torch.ones(5, dtype=torch.float64), atol=1e-7, rtol=0)
    torch.testing.assert_close(found, found.T, atol=1e-12, rtol=0)
    assert found.min() >= 0 and found.max() <= 1


def test_known_angles_and_distances() -> None:
    first, others = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0], [-1.0, 0.0], [2.0, 0.0]])
    assert log_similarities(first, others, "cosine", 1.0).exp().tolist() == [[0.5, 0.0, 1.0]]
    found = log_similarities(first, others, "euclidean", 1.0).exp()
    np.testing.assert_allclose(found.numpy(), [[1 / (1 + 2**0.5), 1 / 3, 1 / 2]], rtol=1e-12)


def test_the_divergence_of_very_unlike_vectors_still_has_an_order() -> None:
    """exp(-KL) is 0 in every float there; the weights are those of its logarithm."""
    first, others = torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.1]])
    log = log_similarities(first, others, "kl", 1e-4)
    assert log.exp().tolist() == [[0.0, 0.0]] and torch.isfinite(log).all()
    weights = partner_log_weights(first[0], others, similarity="kl", temperature=1e-4).softmax(0)
    assert weights.tolist() == pytest.approx([0, 1])


def test_a_similarity_of_zero_is_drawn_only_where_there_is_no_other() -> None:
    first, opposite = torch.tensor([1.0, 0.0]), torch.tensor([[-1.0, 0.0]] * 3)
    assert partner_log_weights(first, opposite).softmax(0).tolist() == pytest.approx([1 / 3] * 3)
    with_another = torch.cat([opposite, torch.tensor([[0.0, 1.0]])])
    assert partner_log_weights(first, with_another).softmax(0).tolist() == [0, 0, 0, 1]


@settings(max_examples=25)
@given(preference=st.floats(0, 20), seed=st.integers(0, 1000))
def test_weights_are_in_proportion_to_a_power_of_the_similarity(preference: float, seed: int) -> None:
    first, others = vectors(1, seed=seed)[0], vectors(6, seed=seed + 1)
    plain = np.array([by_hand(first.double().numpy(), b, "cosine", 1) for b in others.double().numpy()])
    expected = plain**preference / (plain**preference).sum()
    np.testing.assert_allclose(
        partner_log_weights(first, others, preference=preference).softmax(0).numpy(), expected, rtol=1e-8
    )


def test_draws_follow_the_weights() -> None:
    weights = torch.tensor([0.1, 0.0, 0.5, 0.05, 0.35], dtype=torch.float64)
    drawn = draw_partners(weights.expand(20_000, 5), np.random.default_rng(11))
    counts = np.bincount(drawn, minlength=5)
    assert counts[1] == 0
    found = weights.numpy() > 0
    assert chisquare(counts[found], 20_000 * weights.numpy()[found]).pvalue > 0.01
    # Equal weights must fail the same test: it can tell.
    assert chisquare(counts[found]).pvalue < 1e-6
