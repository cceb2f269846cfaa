"""SamplePairing: partners by similarity, shares in proportion to it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from siamclip.augmentation.mix.blends import power_mean
from siamclip.augmentation.mix.methods.sample_pairing import sample_pairing
from siamclip.augmentation.mix.similarity import Measure, log_similarities, partner_log_weights
from tests.augmentation.mix.test_contract import photos

MEASURES: tuple[Measure, ...] = ("cosine", "euclidean", "kl")


def features(number: int, dimension: int = 8, seed: int = 0) -> torch.Tensor:
    return torch.randn(number, dimension, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("measure", MEASURES)
@settings(max_examples=20)
@given(alpha=st.floats(0, 1), seed=st.integers(0, 10**6))
def test_lambda_is_alpha_times_the_similarity_of_the_features(measure: Measure, alpha: float, seed: int) -> None:
    images, vectors = photos(6), features(6, seed=seed)
    mixed = sample_pairing(
        images, vectors, np.random.default_rng(seed), alpha=alpha, similarity=measure, temperature=0.8
    )
    for i, j in enumerate(mixed.partner.tolist()):
        similarity = log_similarities(vectors[i : i + 1], vectors[j : j + 1], measure, 0.8).exp().item()
        assert mixed.share[i].item() == pytest.approx(alpha * similarity, rel=1e-6, abs=1e-30)
        share = mixed.share[i]
        torch.testing.assert_close(mixed.images[i], share * images[i] + (1 - share) * images[j], atol=1e-6, rtol=0)


def test_the_ends_of_alpha() -> None:
    """Equal features have similarity 1: alpha is then the share."""
    images, same = photos(4), torch.ones(4, 3)
    whole = sample_pairing(images, same, np.random.default_rng(0), alpha=1.0)
    torch.testing.assert_close(whole.images, images, atol=1e-6, rtol=0)
    none = sample_pairing(images, same, np.random.default_rng(0), alpha=0.0)
    assert torch.equal(none.images, images[none.partner])
    half = sample_pairing(images, same, np.random.default_rng(0))
    torch.testing.assert_close(half.images, (images + images[half.partner]) / 2, atol=1e-6, rtol=0)


def test_pixels_have_no_say_in_the_similarity() -> None:
    vectors = features(5)
    one = sample_pairing(photos(5, seed=1), vectors, np.random.default_rng(3))
    other = sample_pairing(photos(5, seed=2), vectors, np.random.default_rng(3))
    assert torch.equal(one.partner, other.partner) and torch.equal(one.share, other.share)


@pytest.mark.parametrize("measure", MEASURES)
def test_partners_follow_the_similarities_and_are_never_the_photo_itself(measure: Measure) -> None:
    """Three kinds of photos, each many times in the batch: how often each kind is drawn by each."""
    kinds = np.repeat(np.arange(3), [600, 500, 400])
    vectors = features(3, dimension=3, seed=4)[kinds]
    mixed = sample_pairing(
        torch.zeros(1500, 3, 1, 1),
        vectors,
        np.random.default_rng(5),
        similarity=measure,
        temperature=1.0,
        preference=2.0,
    )
    assert (mixed.partner.numpy() != np.arange(1500)).all()
    for kind in range(3):
        i = int(np.flatnonzero(kinds == kind)[0])
        others = np.delete(np.arange(1500), i)
        logs = partner_log_weights(vectors[i], vectors[others], similarity=measure, temperature=1.0, preference=2.0)
        weights = logs.softmax(0).numpy()
        expected = np.bincount(kinds[others], weights)
        counts = np.bincount(kinds[mixed.partner.numpy()[kinds == kind]], minlength=3)
        assert chisquare(counts, counts.sum() * expected).pvalue > 0.001
        # Draws that do not look at the similarity would not pass.
        assert chisquare(counts, counts.sum() * np.bincount(kinds) / 1500).pvalue < 1e-6


@pytest.mark.parametrize(
    ("strategy", "power"), [("linear", 1.0), ("gamma", 2.2), ("power_mean", -0.5), ("power_mean", 0.0)]
)
def test_strategies_blend_by_their_mean(strategy: str, power: float) -> None:
    images = photos(5)
    mixed = sample_pairing(
        images,
        features(5),
        np.random.default_rng(1),
        strategy=strategy,
        gamma=2.2,
        power=power,  # type: ignore[arg-type]
    )
    expected = power_mean(images, images[mixed.partner], mixed.share, power)
    torch.testing.assert_close(mixed.images, expected, atol=1e-6, rtol=0)


def test_gamma_one_is_linear() -> None:
    images = photos(5)
    plain, gamma = (
        sample_pairing(images, features(5), np.random.default_rng(1), strategy=strategy, gamma=1.0).images
        for strategy in ("linear", "gamma")
    )
    torch.testing.assert_close(plain, gamma, atol=1e-6, rtol=0)


def test_feature_level_leaves_the_photos_and_says_where() -> None:
    images = photos(5)
    mixed = sample_pairing(images, features(5), np.random.default_rng(1), strategy="feature", layer=3)
    assert mixed.images is images and mixed.layer == 3
    plain = sample_pairing(images, features(5), np.random.default_rng(1))
    assert torch.equal(mixed.partner, plain.partner) and torch.equal(mixed.share, plain.share)


def test_features_of_half_precision_and_with_a_gradient() -> None:
    vectors = features(5).bfloat16().requires_grad_()
    mixed = sample_pairing(photos(5), vectors, np.random.default_rng(1))
    assert not mixed.images.requires_grad and not mixed.share.requires_grad
