"""Random erasing: Zhong et al. 2020, arXiv:1708.04896, by torchvision; CutOut, DeVries & Taylor 2017,
arXiv:1708.04552, is its special case of squares of one size."""

from __future__ import annotations

import numpy as np
import torch

from siamclip.augmentation.mask.fill import Fill, hide, random_subset
from siamclip.augmentation.mix.batch import Mixed, untouched
from siamclip.augmentation.torch_seed import torch_seeded
from siamclip.errors import UserError
from siamclip.methods import check_setting


def random_erasing(
    images: torch.Tensor,
    features: None,
    rng: np.random.Generator,
    *,
    probability: float = 1.0,
    smallest: float = 0.02,
    largest: float = 0.33,
    elongation: float = 3.3,
    fill: Fill = "mean",
) -> Mixed:
    """A rectangle of each photo is hidden: its area a share from `smallest` to `largest` of the photo's, its sides in
    a ratio from 1 / elongation to elongation. CutOut: smallest = largest, elongation = 1.

    Rectangles that do not fit are drawn again, ten times at most, as in torchvision. Labels stay. Raises UserError
    for a setting outside its range.
    """
    from torchvision.transforms.v2 import RandomErasing

    check_setting("random_erasing.probability", probability, 0, 1)
    check_setting("random_erasing.smallest", smallest, 0, 1)
    check_setting("random_erasing.largest", largest, 0, 1)
    check_setting("random_erasing.elongation", elongation, 1, 100)
    if smallest > largest:
        raise UserError("set", f"must not lie above largest, {largest}", value=f"random_erasing.smallest={smallest}")
    transform = RandomErasing(p=1.0, scale=(smallest, largest), ratio=(1 / elongation, elongation))
    hidden = torch.zeros(len(images), 1, *images.shape[-2:], dtype=torch.bool)
    which = np.flatnonzero(random_subset(len(images), probability, rng))
    with torch_seeded(rng):
        for i in which:  # one at a time: torchvision's has one rectangle a batch
            box = transform.make_params([images[i]])
            if box["v"] is not None:
                top, left = box["i"], box["j"]
                hidden[i, 0, top : top + box["h"], left : left + box["w"]] = True
    return untouched(hide(images, hidden, fill, rng))
