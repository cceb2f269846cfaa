"""Entry by entry, the stronger of the two: edges and marks of both photos come through."""

from __future__ import annotations

import torch

from siamclip.errors import UserError


def feature_selective(
    first: torch.Tensor, second: torch.Tensor, ratio: float, level: torch.Tensor, *, window: int = 1
) -> torch.Tensor:
    """Weights (B, S, C, h, w) of `first`: 1 where |z1| > |z2|, else 0. Neither ratio nor level matters.

    Neighbours are chosen apart, which leaves a grain in the image. A `window` above 1 (odd, in entries of the map)
    compares the mean square over all channels in a window around the entry instead, so that whole regions come from
    one of the two. Symmetric in the two stacks but where both are equally strong and differ. Raises UserError for a
    window that is even or below 1.
    """
    if window < 1 or window % 2 == 0:
        raise UserError(f"--set feature_selective.window={window}: must be odd and at least 1")
    if window == 1:
        return (first.abs() > second.abs()).to(first.dtype)
    difference = (first.square() - second.square()).mean(-3, keepdim=True)
    energy = torch.nn.functional.avg_pool2d(difference.flatten(0, -4), window, 1, window // 2, count_include_pad=False)
    return (energy > 0).to(first.dtype).view(difference.shape).expand_as(first)
