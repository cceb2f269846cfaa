"""mixup: Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization", arXiv:1710.09412, by torchvision."""

from __future__ import annotations

import numpy as np
import torch

from siamclip.augmentation.mix.batch import Mixed
from siamclip.augmentation.mix.rolled import mixed_in_a_ring
from siamclip.methods import check_setting


def mixup(images: torch.Tensor, features: None, rng: np.random.Generator, *, alpha: float = 0.4) -> Mixed:
    """lambda x1 + (1 - lambda) x2, labels alike; one lambda ~ Beta(alpha, alpha) a batch, partners at random.

    The larger alpha, the nearer lambda is to 1/2; the paper finds 0.1 to 0.4 best on ImageNet. Raises UserError for
    an alpha that is not above 0.
    """
    from torchvision.transforms.v2 import MixUp

    check_setting("mixup.alpha", alpha, 0.01, 100)
    return mixed_in_a_ring(MixUp(alpha=alpha), images, rng)
