"""torchvision's MixUp and CutMix, which mix each photo with the one before it, made to tell parents and shares."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from siamclip.augmentation.mix.batch import Mixed
from siamclip.augmentation.torch_seed import torch_seeded


def mixed_in_a_ring(
    transform: Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]],
    images: torch.Tensor,
    rng: np.random.Generator,
) -> Mixed:
    """The photos are put into a random ring, in which each one's partner is the one before it."""
    number, device = len(images), images.device
    order = torch.from_numpy(rng.permutation(number)).to(device)
    # Labels of one class, which the ring's first photo alone has: what is left of it there is the share.
    marker = torch.zeros(number, 1, device=device)
    marker[0] = 1
    with torch_seeded(rng):
        ring, left = transform(images[order], marker)
    result, partner = torch.empty_like(images), torch.empty_like(order)
    result[order] = ring
    partner[order] = order.roll(1)
    return Mixed(result, partner, left[0].expand(number).clone())
