"""Blends of two photos: the laws of weighted power means."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pmean

from siamclip.augmentation.mix.blends import linear_blend, power_mean

POWERS = st.one_of(st.floats(-100, 100), st.sampled_from([0.0, 1.0, -1.0, 1e-9, -1e-5, 1e-300, 5e-324]))
UNIT = st.floats(0, 1, width=32)


def pair(seed: int = 0, number: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Two batches with black, white and equal pixels among any others."""
    generator = torch.Generator().manual_seed(seed)
    first, second = torch.rand(2, number, 3, 6, 6, generator=generator)
    first[:, :, 0], second[:, :, 1] = 0, 0
    first[:, :, 2], second[:, :, 3] = 1, 1
    first[:, :, 4], second[:, 0, 0] = second[:, :, 4], 0
    return first, second


@settings(max_examples=25)
@given(power=POWERS, share=UNIT)
def test_a_mean_lies_between_the_two(power: float, share: float) -> None:
    first, second = pair()
    found = power_mean(first, second, torch.full((4,), share), power)
    low, high = torch.minimum(first, second), torch.maximum(first, second)
    assert torch.isfinite(found).all()
    assert (found >= low - 1e-5).all() and (found <= high + 1e-5).all()


@settings(max_examples=25)
@given(power=POWERS)
def test_a_share_of_one_or_zero_gives_one_photo(power: float) -> None:
    first, second = pair()
    shares = torch.tensor([1.0, 0.0, 1.0, 0.0])
    expected = torch.stack([first[0], second[1], first[2], second[3]])
    torch.testing.assert_close(power_mean(first, second, shares, power), expected, atol=1e-6, rtol=0)
    assert torch.equal(linear_blend(first, second, shares), expected)


@settings(max_examples=25)
@given(share=UNIT, power=POWERS)
def test_a_photo_with_itself_is_itself(share: float, power: float) -> None:
    first, _ = pair()
    torch.testing.assert_close(power_mean(first, first, torch.full((4,), share), power), first, atol=1e-6, rtol=0)


@settings(max_examples=25)
@given(share=UNIT)
def test_power_one_is_linear(share: float) -> None:
    first, second = pair()
    shares = torch.full((4,), share)
    torch.testing.assert_close(
        power_mean(first, second, shares, 1.0), linear_blend(first, second, shares), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("power", [-20.0, -1.0, -0.01, 0.0, 1e-4, 0.5, 2.2, 20.0])
def test_equal_to_scipy(power: float) -> None:
    """SciPy in float64, on pixels of at least one grey level: its own formula overflows nowhere there."""
    first, second = (x.clamp(min=1 / 255) for x in pair())
    for share in (0.2, 0.5, 0.85):
        stacked = torch.stack([first, second]).double().numpy()
        weights = np.broadcast_to(np.array([share, 1 - share]).reshape(2, 1, 1, 1, 1), stacked.shape)
        expected = pmean(stacked, power, axis=0, weights=weights)
        found = power_mean(first, second, torch.full((4,), share), power)
        np.testing.assert_allclose(found.numpy(), expected, rtol=2e-5)


@settings(max_examples=25)
@given(low=st.floats(-50, 50), high=st.floats(-50, 50), share=st.floats(0.125, 0.875, width=32))
def test_a_larger_power_is_brighter(low: float, high: float, share: float) -> None:
    low, high = sorted((low, high))
    first, second = pair()
    shares = torch.full((4,), share)
    assert (power_mean(first, second, shares, low) <= power_mean(first, second, shares, high) + 1e-5).all()


def test_black_and_white_in_linear_light() -> None:
    black, white = torch.zeros(1, 3, 1, 1), torch.ones(1, 3, 1, 1)
    found = power_mean(black, white, torch.tensor([0.5]), 2.2)
    assert found.flatten().tolist() == pytest.approx([0.5 ** (1 / 2.2)] * 3)  # 0.73: half of the light
