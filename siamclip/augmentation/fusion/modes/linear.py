"""One weight for every step and every entry: a blend of the two photos throughout."""

from __future__ import annotations

import torch


def linear(first: torch.Tensor, second: torch.Tensor, ratio: float, level: torch.Tensor) -> torch.Tensor:
    """Weights (S, 1, 1, 1) of `first`: r z1 + (1 - r) z2. Stacks are (B, S, C, h, w), level is (S,), t / T."""
    return torch.full_like(level, ratio).view(-1, 1, 1, 1)
