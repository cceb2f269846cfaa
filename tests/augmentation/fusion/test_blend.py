"""What blending does to the variance of noise maps."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from siamclip.augmentation.fusion.blend import blend

SHAPE = (2, 3, 3, 64, 64)  # 12,288 entries a map: the standard error of a variance of 1 is 0.013


def _normals(seed: int, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _variances(maps: torch.Tensor) -> torch.Tensor:
    return maps.var((-3, -2, -1), correction=0)


@pytest.mark.parametrize("ratio", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_a_blend_of_independent_normals_loses_variance(ratio: float) -> None:
    weight = torch.full((1, 1, 1), ratio)
    plain = _variances(blend(_normals(0), _normals(1), weight))
    kept = _variances(blend(_normals(0), _normals(1), weight, keep_variance=True))
    assert (plain - (ratio**2 + (1 - ratio) ** 2)).abs().max() < 0.06
    assert (kept - 1).abs().max() < 0.06


@given(seed=st.integers(0, 2**32), scale=st.floats(0.1, 10), ratio=st.floats(0, 1))
def test_the_variance_that_is_kept_lies_between_the_two(seed: int, scale: float, ratio: float) -> None:
    first, second = _normals(seed)[:, :, :, :8, :8], _normals(seed + 1, scale)[:, :, :, :8, :8] + 3
    fused = blend(first, second, torch.full((1, 1, 1), ratio), keep_variance=True)
    share = torch.full((1,), ratio, dtype=torch.float32).double()  # as a float32 weight has it
    torch.testing.assert_close(_variances(fused), share * _variances(first) + (1 - share) * _variances(second))
    means = share * first.mean((-3, -2, -1)) + (1 - share) * second.mean((-3, -2, -1))
    torch.testing.assert_close(fused.mean((-3, -2, -1)), means)


def test_the_larger_of_two_entries_has_too_much_variance_unless_it_is_kept() -> None:
    first, second = _normals(2), _normals(3)
    weight = (first.abs() > second.abs()).double()
    # E max(a^2, b^2) of two normals is 1 + 2 / pi
    assert (_variances(blend(first, second, weight)) - (1 + 2 / torch.pi)).abs().max() < 0.06
    assert (_variances(blend(first, second, weight, keep_variance=True)) - 1).abs().max() < 0.06


def test_each_step_and_each_image_keeps_its_own_variance() -> None:
    scales = torch.tensor([[1.0, 2.0, 3.0], [4.0, 0.5, 0.1]], dtype=torch.float64)[:, :, None, None, None]
    first, second = _normals(4) * scales, _normals(5) * scales
    fused = _variances(blend(first, second, torch.full((3, 1, 1, 1), 0.5), keep_variance=True))
    torch.testing.assert_close(fused / scales.flatten(1).square(), torch.ones_like(fused), rtol=0.06, atol=0)


def test_two_opposite_maps_cancel() -> None:
    """No scale brings variance back where none is left."""
    first = _normals(6)
    fused = blend(first, -first, torch.full((1, 1, 1), 0.5), keep_variance=True)
    assert torch.equal(fused, torch.zeros_like(first))
