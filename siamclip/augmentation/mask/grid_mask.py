"""GridMask: Chen et al. 2020, "GridMask Data Augmentation", arXiv:2001.04086."""

from __future__ import annotations

import numpy as np
import torch

from siamclip.augmentation.mask.fill import Fill, hide, random_subset
from siamclip.augmentation.mix.batch import Mixed, untouched
from siamclip.errors import UserError
from siamclip.methods import check_setting


def grid_mask(
    images: torch.Tensor,
    features: None,
    rng: np.random.Generator,
    *,
    probability: float = 1.0,
    kept: float = 0.6,
    smallest_unit: float = 0.4,
    largest_unit: float = 1.0,
    fill: Fill = "mean",
) -> Mixed:
    """A grid of hidden squares. The unit's side d is drawn between two shares of the photo's shorter side, for each
    photo, and so is the grid's offset; of a unit, a square of side (1 - r) d is hidden, r = `kept`.

    The share of pixels that stay is 1 - (1 - r)^2 on average (equation 1). Defaults are those of the paper on
    ImageNet, d from 96 to 224 of 224 pixels; its masks are not turned there either. Labels stay. Raises UserError for
    a setting outside its range.
    """
    for name, value, lowest in (
        ("probability", probability, 0.0),
        ("kept", kept, 0.0),
        ("smallest_unit", smallest_unit, 0.01),
        ("largest_unit", largest_unit, 0.01),
    ):
        check_setting(f"gridmask.{name}", value, lowest, 1)
    if smallest_unit > largest_unit:
        problem = f"must not lie above largest_unit, {largest_unit}"
        raise UserError("set", problem, value=f"gridmask.smallest_unit={smallest_unit}")
    height, width = images.shape[-2:]
    side = min(height, width)
    hidden = np.zeros((len(images), 1, height, width), bool)
    for i in np.flatnonzero(random_subset(len(images), probability, rng)):
        low, high = (max(2, round(unit * side)) for unit in (smallest_unit, largest_unit))
        unit = int(rng.integers(low, high + 1))
        hidden[i, 0] = grid(height, width, unit, round(kept * unit), int(rng.integers(unit)), int(rng.integers(unit)))
    return untouched(hide(images, torch.from_numpy(hidden), fill, rng))


def grid(height: int, width: int, unit: int, kept: int, top: int, left: int) -> np.ndarray:
    """bool (height, width): True in squares of unit - kept pixels, one a unit, the first one at (top, left)."""
    rows = (np.arange(height) - top) % unit < unit - kept
    columns = (np.arange(width) - left) % unit < unit - kept
    return rows[:, None] & columns[None, :]
