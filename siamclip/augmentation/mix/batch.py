"""What every method of mixing and masking gives, and what training makes of it.

A method is `target(images, features, rng, *, settings) -> Mixed`: images float32 (B, 3, H, W) in [0, 1], which stay as
they are; features float (B, D), or None for methods that need none; `rng` is all that the result depends on besides.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Mixed:
    """Images on the device of the batch they come from; the parents of image i are photos i and partner[i]."""

    images: torch.Tensor  # float32 (B, 3, H, W) in [0, 1]
    partner: torch.Tensor  # int64 (B,); i itself where photo i has no second parent
    share: torch.Tensor  # float32 (B,) in [0, 1]: of photo i in image i and in its label
    layer: int | None = None  # where set, `images` are still the photos: `features.mixed_inside` mixes at that layer


def untouched(images: torch.Tensor) -> Mixed:
    """Each image its own only parent: what masks give, once they have hidden something."""
    number, device = len(images), images.device
    return Mixed(images, torch.arange(number, device=device), torch.ones(number, device=device))


def soft_labels(mixed: Mixed, labels: torch.Tensor, classes: int) -> torch.Tensor:
    """float32 (B, classes), rows that sum to 1: share of labels[i] + (1 - share) of labels[partner[i]].

    `labels`: int64 (B,) in [0, classes).
    """
    share = mixed.share[:, None]
    soft = torch.zeros(len(labels), classes, device=share.device)
    soft.scatter_add_(1, labels[:, None], share)
    return soft.scatter_add_(1, labels[mixed.partner][:, None], 1 - share)


def per_image(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """(B,) -> (B, 1, ..., 1), to be broadcast over `like`, in its type."""
    return values.to(like.dtype).view(-1, *[1] * (like.dim() - 1))
