"""From the first photo to the second while the noise falls: the first gives the layout, the ratio decides the rest."""

from __future__ import annotations

import torch


def cross_fade(first: torch.Tensor, second: torch.Tensor, ratio: float, level: torch.Tensor) -> torch.Tensor:
    """Weights (S, 1, 1, 1) of `first`: f z1 + (1 - f) z2 with f = r + (1 - r) t / T.

    Stacks are (B, S, C, h, w), level is (S,), t / T: 1 at step T, which thus is the first photo's alone.
    """
    return (ratio + (1 - ratio) * level).view(-1, 1, 1, 1)
