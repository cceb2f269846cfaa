"""Blends of two photos, pixel by pixel: in proportion, in linear light, by any power mean."""

from __future__ import annotations

import torch

from siamclip.augmentation.mix.batch import per_image

_GEOMETRIC = 1e-6  # powers nearer to 0 than this differ from the limit by less than float32 can tell


def linear_blend(first: torch.Tensor, second: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """share x1 + (1 - share) x2, of float (B, ...) and shares (B,); exactly x1 for 1 and x2 for 0."""
    return torch.lerp(second, first, per_image(share, first))


def power_mean(first: torch.Tensor, second: torch.Tensor, share: torch.Tensor, power: float) -> torch.Tensor:
    """(share x1^p + (1 - share) x2^p)^(1/p) of float (B, ...) in [0, 1]; for p = 0 its limit, x1^share x2^(1 - share).

    p = 1 is the mean, 0 the geometric, -1 the harmonic one; a large p leans to the brighter photo, a small one to the
    darker. With p = 2.2 it is the mean of light: pixels are light to the power of 1 / 2.2.
    """
    share = per_image(share, first)
    if abs(power) < _GEOMETRIC:
        return first**share * second ** (1 - share)
    larger, smaller = torch.maximum(first, second), torch.minimum(first, second)
    # The entry r whose power dominates is put before the brackets: r (1 + w ((x / r)^p - 1))^(1/p), w the other's
    # share, with all powers in [0, 1]. No overflow, and expm1 and log1p stay exact for p near 0.
    dominant, other = (larger, smaller) if power > 0 else (smaller, larger)
    weight = torch.where(other == first, share, 1 - share)
    ratio = torch.where(dominant == other, torch.ones_like(other), other / dominant)
    mean = dominant * (torch.log1p(weight * torch.expm1(power * ratio.log())) / power).exp()
    # A black entry that dominates leaves 0 times what may overflow.
    return torch.where(weight == 1, other, torch.where(dominant == 0, dominant, mean))
