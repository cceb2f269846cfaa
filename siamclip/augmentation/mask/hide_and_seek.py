"""Hide-and-Seek: Singh et al. 2018, "Hide-and-Seek: A Data Augmentation Technique for Weakly-Supervised Localization
and Beyond", arXiv:1811.02545."""

from __future__ import annotations

import numpy as np
import torch

from siamclip.augmentation.mask.fill import Fill, hide
from siamclip.augmentation.mix.batch import Mixed, untouched
from siamclip.methods import check_setting


def hide_and_seek(
    images: torch.Tensor,
    features: None,
    rng: np.random.Generator,
    *,
    cells: int = 4,
    probability: float = 0.5,
    fill: Fill = "mean",
) -> Mixed:
    """Each photo is divided into cells x cells parts, and each part is hidden with this probability, by itself.

    Parts differ by a pixel where a side cannot be divided. Hidden ones get the mean colour, so that what a layer sees
    on average stays (section 3.3). Labels stay. Raises UserError for a setting outside its range.
    """
    height, width = images.shape[-2:]
    check_setting("hide_and_seek.cells", cells, 1, min(height, width))
    check_setting("hide_and_seek.probability", probability, 0, 1)
    parts = rng.random((len(images), cells, cells)) < probability
    rows, columns = (np.arange(side) * cells // side for side in (height, width))
    hidden = parts[:, rows][:, :, columns][:, None]
    return untouched(hide(images, torch.from_numpy(hidden), fill, rng))
