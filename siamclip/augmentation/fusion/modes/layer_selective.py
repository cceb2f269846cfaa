"""Structure of the first photo, texture of the second: noisy steps decide the layout, the last ones the surface."""

from __future__ import annotations

import torch

from siamclip.errors import UserError
from siamclip.methods import check_setting


def layer_selective(
    first: torch.Tensor,
    second: torch.Tensor,
    ratio: float,
    level: torch.Tensor,
    *,
    structure_from: float = 0.7,
    texture_until: float = 0.3,
    structure_weight: float = 0.9,
    texture_weight: float = 0.1,
) -> torch.Tensor:
    """Weights (S, 1, 1, 1) of `first` by the level t / T (S,) of each slot of the stacks (B, S, C, h, w).

    structure_weight where the level is >= structure_from, texture_weight where it is < texture_until, and the ratio
    between them. All in [0, 1]. Raises UserError for settings outside, or bounds in the wrong order.
    """
    for name, value in (
        ("structure_from", structure_from),
        ("texture_until", texture_until),
        ("structure_weight", structure_weight),
        ("texture_weight", texture_weight),
    ):
        check_setting(f"layer_selective.{name}", value, 0, 1)
    if texture_until > structure_from:
        problem = f"must not lie above structure_from, {structure_from}"
        raise UserError("set", problem, value=f"layer_selective.texture_until={texture_until}")
    weight = torch.full_like(level, ratio)
    weight[level >= structure_from] = structure_weight
    weight[level < texture_until] = texture_weight
    return weight.view(-1, 1, 1, 1)
