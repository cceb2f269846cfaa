"""Entry by entry, the stronger of the two: edges and marks of both photos come through."""

from __future__ import annotations

import torch


def feature_selective(first: torch.Tensor, second: torch.Tensor, ratio: float, level: torch.Tensor) -> torch.Tensor:
    """Weights (B, S, C, h, w) of `first`: 1 where |z1| > |z2|, else 0. Neither ratio nor level matters.

    Symmetric in the two stacks but where |z1| = |z2| with opposite signs.
    """
    return (first.abs() > second.abs()).to(first.dtype)
