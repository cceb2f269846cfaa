"""The loss against networks whose answers are known."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from siamclip.diffusion.training.architecture import make_scheduler
from siamclip.diffusion.training.objective import noise_loss

SCHEDULER = make_scheduler(1000, "linear")


def pixels(number: int = 64) -> torch.Tensor:
    return torch.rand((number, 3, 8, 8), generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_a_network_that_knows_the_photo_has_no_loss() -> None:
    """It solves x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps for eps."""
    x_0 = pixels()

    def knows(x_t: torch.Tensor, t: torch.Tensor, return_dict: bool) -> tuple[torch.Tensor]:
        abar = SCHEDULER.alphas_cumprod[t].view(-1, 1, 1, 1)
        return ((x_t - abar.sqrt() * x_0) / (1 - abar).sqrt(),)

    assert noise_loss(knows, SCHEDULER, x_0, None).item() < 1e-6


def test_a_network_that_says_nothing_loses_the_variance_of_the_noise() -> None:
    torch.manual_seed(0)
    found = noise_loss(lambda x, t, return_dict: (torch.zeros_like(x),), SCHEDULER, pixels(), None)
    assert found.item() == pytest.approx(1, abs=0.06)  # 12,288 numbers: 5 standard deviations of their squares' mean


def test_all_timesteps_are_drawn() -> None:
    drawn = set()

    def records(x: torch.Tensor, t: torch.Tensor, return_dict: bool) -> tuple[torch.Tensor]:
        drawn.update(t.tolist())
        return (x,)

    torch.manual_seed(0)
    noise_loss(records, make_scheduler(20, "linear"), pixels(400), None)
    assert drawn == set(range(20))


@pytest.mark.parametrize("precision", [None, torch.bfloat16])
def test_precision_is_that_of_autocast_and_the_loss_is_fp32(precision: torch.dtype | None) -> None:
    layer, seen = torch.nn.Conv2d(3, 3, 1), []

    def network(x: torch.Tensor, t: torch.Tensor, return_dict: bool) -> tuple[Any]:
        seen.append(layer(x).dtype)
        return (layer(x),)

    loss = noise_loss(network, SCHEDULER, pixels(), precision)
    assert seen == [precision or torch.float32]
    assert loss.dtype == torch.float32
