"""The numbers of a diffusion sampler: which of the training's steps it visits, and how much noise each has.

Symbols are those of Huberman-Spiegelglas, Kulikov & Michaeli 2024 (CVPR, arXiv:2304.06140), equations (1) to (5):
abar_t falls from 1 at t = 0 (the image) to almost 0 at t = T (noise), and sigma_t is the noise that the step from t to
t - 1 adds. The sampler's T steps are a subset of the network's own; t counts the sampler's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

Prediction = Literal["epsilon", "v_prediction", "sample"]


@dataclass(frozen=True)
class SamplerSchedule:
    """Entry t of each sequence belongs to step t, from 0 (the image) to T; `timesteps[0]` and `sigma[0]` are unused."""

    timesteps: tuple[int, ...]  # what the network is told
    alpha_bar: tuple[float, ...]
    sigma: tuple[float, ...]
    prediction: Prediction = "epsilon"
    clip: float | None = None  # predicted images are clipped to [-clip, clip], as the model was sampled in training

    @property
    def steps(self) -> int:
        return len(self.timesteps) - 1


def make_sampler_schedule(
    alphas_cumprod: Sequence[float] | np.ndarray,
    steps: int,
    eta: float = 1.0,
    prediction: Prediction = "epsilon",
    clip: float | None = None,
) -> SamplerSchedule:
    """A sampler of `steps` of the N training steps, evenly spaced and with the noisiest among them.

    `alphas_cumprod`: (N,) abar of the training steps. `eta` in (0, 1]: 1 is DDPM (Ho et al. 2020), 0 would be DDIM.
    The spacing is "trailing" of Lin et al. 2024 (arXiv:2305.08891). Raises ValueError for steps outside [1, N].
    """
    trained = len(alphas_cumprod)
    if not 1 <= steps <= trained:
        raise ValueError(f"{steps} steps of a model that was trained with {trained}")
    if not 0 < eta <= 1:
        raise ValueError(f"eta {eta} lies outside (0, 1]")
    timesteps = (0, *(round(trained * t / steps) - 1 for t in range(1, steps + 1)))
    alpha_bar = (1.0, *(float(alphas_cumprod[i]) for i in timesteps[1:]))
    # Song et al. 2021 (arXiv:2010.02502), eq. (16)
    sigma = [
        eta * ((1 - previous) / (1 - current) * (1 - current / previous)) ** 0.5
        for current, previous in zip(alpha_bar[1:], alpha_bar[:-1], strict=True)
    ]
    # The last step's is 0: no noise map could make up for what the network gets wrong there. It borrows its
    # neighbour's, as the clipped posterior variance of Ho et al. 2020 and Nichol & Dhariwal 2021 does.
    sigma[0] = sigma[1] if steps > 1 else eta * (1 - alpha_bar[1]) ** 0.5
    return SamplerSchedule(timesteps, alpha_bar, (0.0, *sigma), prediction, clip)


def posterior_mean(x_t: torch.Tensor, output: torch.Tensor, t: int, schedule: SamplerSchedule) -> torch.Tensor:
    """mu_t(x_t), eq. (4), from the network's `output` f_t(x_t). All (B, C, h, w) in one dtype."""
    alpha_bar, previous, sigma = schedule.alpha_bar[t], schedule.alpha_bar[t - 1], schedule.sigma[t]
    signal, noise = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
    if schedule.prediction == "epsilon":
        epsilon = output
        x_0 = (x_t - noise * epsilon) / signal
    elif schedule.prediction == "v_prediction":  # Salimans & Ho 2022, arXiv:2202.00512
        x_0 = signal * x_t - noise * output
        epsilon = signal * output + noise * x_t
    else:
        x_0 = output
        epsilon = (x_t - signal * x_0) / noise
    if schedule.clip is not None:
        x_0 = x_0.clamp(-schedule.clip, schedule.clip)
        epsilon = (x_t - signal * x_0) / noise
    # P(f_t(x_t)) and D(f_t(x_t)) of eq. (4); the bracket is below 0 at the last step alone, whose sigma is borrowed
    return previous**0.5 * x_0 + max(0.0, 1 - previous - sigma**2) ** 0.5 * epsilon
