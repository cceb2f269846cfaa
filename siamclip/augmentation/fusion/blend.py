"""Two stacks and the weight of the first, made one."""

from __future__ import annotations

import torch

_ENTRIES = (-3, -2, -1)  # C, h, w: statistics are those of one noise map


def blend(first: torch.Tensor, second: torch.Tensor, weight: torch.Tensor, keep_variance: bool = False) -> torch.Tensor:
    """w z1 + (1 - w) z2, (B, S, C, h, w); `weight` in [0, 1] broadcasts to it.

    A blend of two independent maps of variance v has variance (w^2 + (1-w)^2) v, and a map that picks the larger
    entries has more than v. `keep_variance` scales each map about its mean to the variance w v1 + (1 - w) v2 (the mean
    of w over the map), so that two equal maps stay what they are.
    """
    fused = torch.lerp(second, first, weight.to(first).expand_as(first))  # exact at both ends, and for equal maps
    if not keep_variance:
        return fused
    share = weight.to(first).expand_as(first).mean(_ENTRIES, keepdim=True)
    target = share * _variance(first) + (1 - share) * _variance(second)
    actual = _variance(fused)
    mean = fused.mean(_ENTRIES, keepdim=True)
    scale = torch.where(actual > 0, (target / actual.clamp(min=torch.finfo(actual.dtype).tiny)).sqrt(), 1.0)
    return mean + scale * (fused - mean)


def _variance(maps: torch.Tensor) -> torch.Tensor:
    return maps.var(_ENTRIES, correction=0, keepdim=True)
