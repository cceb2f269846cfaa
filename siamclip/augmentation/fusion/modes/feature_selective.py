"""Whichever of the two is stronger: edges and marks of both photos come through."""

from __future__ import annotations

import torch

from siamclip.errors import UserError


def feature_selective(
    first: torch.Tensor, second: torch.Tensor, ratio: float, level: torch.Tensor, *, window: int = 17
) -> torch.Tensor:
    """Weights (B, S, C, h, w) of `first`: 1 where it is the stronger, else 0. Neither ratio nor level matters.

    With `window` 1 every entry is chosen by itself, z1 where |z1| > |z2|. Neighbouring steps of one image cancel each
    other (their maps are negatively correlated); chosen apart, they no longer do, and the noise that is left drowns the
    image: the more steps, the more. A larger window (odd, in entries) chooses regions instead, the same for all steps:
    by the mean square over steps, channels and the window around the entry. Symmetric in the two stacks but where both
    are equally strong and differ. Raises UserError for a window that is even or below 1.
    """
    if window < 1 or window % 2 == 0:
        raise UserError("set", "must be odd and at least 1", value=f"feature_selective.window={window}")
    if window == 1:
        return (first.abs() > second.abs()).to(first.dtype)
    # slot 0 is no noise map but where generation starts: with `skip` it holds the image itself
    difference = (first[..., 1:, :, :, :].square() - second[..., 1:, :, :, :].square()).mean((-4, -3))
    rows = difference.view(-1, 1, *difference.shape[-2:])
    energy = torch.nn.functional.avg_pool2d(rows, window, 1, window // 2, count_include_pad=False)
    return (energy > 0).to(first.dtype).view(*difference.shape[:-2], 1, 1, *difference.shape[-2:]).expand_as(first)
