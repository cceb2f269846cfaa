"""What happens to a training photo between its decoding and the network, on whole batches, on the batch's device.

Every number is drawn from the generator that is passed in, so a resumed run sees the same pictures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

GRAY = (0.299, 0.587, 0.114)  # ITU-R BT.601, as torchvision's adjust_contrast


@dataclass(frozen=True)
class OnlineAugmentation:
    """Strengths of 0 switch a step off. A flip mirrors plate text, and jitter changes a vehicle's colour: both are
    part of the baseline recipe, and both have their own switch."""

    flip_probability: float = 0.5
    brightness: float = 0.2  # factor in [1 - b, 1 + b]
    contrast: float = 0.2
    random_crop: float = 0.0  # largest share of a side that is cut away
    random_erasing: float = 0.0  # probability (Zhong et al. 2020, arXiv:1708.04896)

    def __call__(self, photos: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        """uint8 (N, S, S, 3) -> float32 (N, S, S, 3) in [0, 255]."""
        batch = photos.float()
        if self.flip_probability:
            batch = flip(batch, rng.random(len(batch)) < self.flip_probability)
        if self.random_crop:
            batch = crop_and_resize(batch, random_boxes(len(batch), self.random_crop, rng))
        if self.brightness:
            batch = adjust_brightness(batch, rng.uniform(1 - self.brightness, 1 + self.brightness, len(batch)))
        if self.contrast:
            batch = adjust_contrast(batch, rng.uniform(1 - self.contrast, 1 + self.contrast, len(batch)))
        if self.random_erasing:
            batch = erase_with_noise(batch, rng.random(len(batch)) < self.random_erasing, rng)
        return batch


def _per_photo(values: np.ndarray, like: torch.Tensor) -> torch.Tensor:
    return torch.as_tensor(values, dtype=like.dtype, device=like.device).view(-1, 1, 1, 1)


def flip(batch: torch.Tensor, chosen: np.ndarray) -> torch.Tensor:
    """Mirror the chosen photos (boolean (N,)) left to right."""
    which = torch.as_tensor(chosen, device=batch.device).view(-1, 1, 1, 1)
    return torch.where(which, batch.flip(2), batch)


def adjust_brightness(batch: torch.Tensor, factors: np.ndarray) -> torch.Tensor:
    """Multiply each photo by its factor, clipped to [0, 255], as torchvision's adjust_brightness."""
    return (batch * _per_photo(factors, batch)).clamp(0, 255)


def adjust_contrast(batch: torch.Tensor, factors: np.ndarray) -> torch.Tensor:
    """Blend each photo with its mean gray, clipped to [0, 255], as torchvision's adjust_contrast."""
    gray = (batch * torch.tensor(GRAY, device=batch.device)).sum(dim=3).mean(dim=(1, 2)).view(-1, 1, 1, 1)
    return torch.lerp(gray, batch, _per_photo(factors, batch)).clamp(0, 255)


def random_boxes(number: int, largest_cut: float, rng: np.random.Generator) -> np.ndarray:
    """(N, 4) left, top, width, height in shares of the side; width and height in [1 - largest_cut, 1]."""
    size = 1 - largest_cut * rng.random((number, 2))
    corner = rng.random((number, 2)) * (1 - size)
    return np.concatenate([corner, size], axis=1)


def crop_and_resize(batch: torch.Tensor, boxes: np.ndarray) -> torch.Tensor:
    """Bilinear, back to the same size; `boxes` as `random_boxes` gives them."""
    left, top, width, height = torch.as_tensor(boxes, dtype=batch.dtype, device=batch.device).unbind(1)
    zero = torch.zeros_like(left)
    theta = torch.stack(
        [
            torch.stack([width, zero, 2 * left + width - 1], dim=1),
            torch.stack([zero, height, 2 * top + height - 1], dim=1),
        ],
        dim=1,
    )
    pixels = batch.permute(0, 3, 1, 2)
    grid = torch.nn.functional.affine_grid(theta, list(pixels.shape), align_corners=False)
    cropped = torch.nn.functional.grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return cropped.permute(0, 2, 3, 1)


def erase_with_noise(batch: torch.Tensor, chosen: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
    """Fill a random rectangle of the chosen photos with noise: 2% to 20% of the area, aspect 0.3 to 3.3.

    The setting `random_erasing`. The method of that name (augmentation/mask/random_erasing.py) has a setting for each
    of these.
    """
    side = batch.shape[1]
    erased = batch.clone()
    for i in np.flatnonzero(chosen):
        area, aspect = rng.uniform(0.02, 0.2), math.exp(rng.uniform(math.log(0.3), math.log(3.3)))
        height = min(side, max(1, round(side * math.sqrt(area * aspect))))
        width = min(side, max(1, round(side * math.sqrt(area / aspect))))
        top, left = rng.integers(side - height + 1), rng.integers(side - width + 1)
        noise = rng.integers(0, 256, (height, width, 3)).astype(np.float32)
        erased[i, top : top + height, left : left + width] = torch.from_numpy(noise).to(batch.device)
    return erased
