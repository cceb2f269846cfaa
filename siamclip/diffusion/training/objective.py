"""What the network learns: to tell the noise in a noisy photo (Ho et al. 2020, arXiv:2006.11239, algorithm 1)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler


def noise_loss(
    network: Callable[..., Any], scheduler: DDPMScheduler, pixels: torch.Tensor, precision: torch.dtype | None
) -> torch.Tensor:
    """Mean of ||eps - eps_theta(sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps, t)||^2 over pixels and channels (eq. 14).

    `pixels`: x_0, float32 (B, 3, S, S) in [-1, 1]. t and eps are drawn from the CPU's generator, so that every device
    sees the same. `precision` is what autocast computes in, None for fp32; the loss is float32.
    """
    noise = torch.randn(pixels.shape).to(pixels.device, memory_format=torch.channels_last)  # eps
    timesteps: Any = torch.randint(scheduler.config["num_train_timesteps"], (len(pixels),)).to(pixels.device)  # t
    noisy = scheduler.add_noise(pixels, noise, timesteps)  # x_t
    with torch.autocast(pixels.device.type, precision) if precision else nullcontext():
        predicted = network(noisy, timesteps, return_dict=False)[0]  # eps_theta
    return torch.nn.functional.mse_loss(predicted.float(), noise)
