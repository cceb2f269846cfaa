"""What hidden pixels become."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

from siamclip.data.image.preprocess import CLIP_MEAN

Fill = Literal["mean", "black", "noise"]


def hide(images: torch.Tensor, hidden: torch.Tensor, fill: Fill, rng: np.random.Generator) -> torch.Tensor:
    """A copy of float32 (B, 3, H, W) in [0, 1] with `hidden`, a boolean (B, 1, H, W), filled.

    "mean": the mean colour of CLIP's training photos, which CLIP's normalisation brings to zero, as in the papers, and
    that of other networks near it. "noise": uniform in [0, 1], each value by itself.
    """
    if fill == "noise":
        colour = torch.from_numpy(rng.random(tuple(images.shape), dtype=np.float32))
    else:
        colour = torch.tensor(CLIP_MEAN if fill == "mean" else (0.0, 0.0, 0.0)).view(1, 3, 1, 1)
    return torch.where(hidden.to(images.device), colour.to(images), images)


def random_subset(number: int, probability: float, rng: np.random.Generator) -> np.ndarray:
    """bool (number,): each photo by itself with this probability."""
    return rng.random(number) < probability
