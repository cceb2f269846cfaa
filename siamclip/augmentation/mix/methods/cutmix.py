"""CutMix: Yun et al. 2019, "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features",
arXiv:1905.04899, by torchvision."""

from __future__ import annotations

import numpy as np
import torch

from siamclip.augmentation.mix.batch import Mixed
from siamclip.augmentation.mix.rolled import mixed_in_a_ring
from siamclip.methods import check_setting


def cutmix(images: torch.Tensor, features: None, rng: np.random.Generator, *, alpha: float = 1.0) -> Mixed:
    """A rectangle of each photo is replaced by its partner's; the share is that of the pixels which stay.

    The rectangle's area is 1 - lambda, lambda ~ Beta(alpha, alpha), before it is clipped to the photo; one rectangle
    a batch, partners at random. Raises UserError for an alpha that is not above 0.
    """
    from torchvision.transforms.v2 import CutMix

    check_setting("cutmix.alpha", alpha, 0.01, 100)
    return mixed_in_a_ring(CutMix(alpha=alpha), images, rng)
