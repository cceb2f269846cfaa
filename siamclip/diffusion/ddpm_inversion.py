"""The edit-friendly DDPM noise space: an image becomes a stack of noise maps, and these become the image again.

Huberman-Spiegelglas, Kulikov & Michaeli, "An Edit Friendly DDPM Noise Space: Inversion and Manipulations", CVPR 2024,
arXiv:2304.06140. Step t of a sampler is

    x_{t-1} = mu_t(x_t) + sigma_t z_t,    t = T, ..., 1                                                         (3)

Any sequence x_1, ..., x_T that starts at the image x_0 thus has noise maps

    z_t = (x_{t-1} - mu_t(x_t)) / sigma_t                                                                       (5)

that bring the sampler back to x_0, whatever the network predicts. The edit-friendly sequence is

    x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps_t,    eps_t ~ N(0, I) independent for every t                 (6)

Maps of a sampler's own noise are normal and independent; these have a larger variance and neighbours that are
negatively correlated (figure 4), which imprints the image's structure on them: they can be blended.

A stack is (B, S, C, h, w) with S = T - skip + 1: slot 0 holds x_{T-skip}, where generation starts, slot k > 0 the noise
map of step t = T - skip - k + 1, so that the last slot is z_1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from siamclip.diffusion.sampler_schedule import SamplerSchedule, posterior_mean

Predict = Callable[[torch.Tensor, int], torch.Tensor]  # (x_t, the network's timestep) -> f_t(x_t)


def steps_of_slots(steps: int, skip: int) -> torch.Tensor:
    """int64 (S,): the step t that each slot of a stack belongs to: T-skip, T-skip, T-skip-1, ..., 1."""
    start = steps - skip
    return torch.tensor([start, *range(start, 0, -1)])


def trajectory(x_0: torch.Tensor, schedule: SamplerSchedule, skip: int, seeds: Sequence[int]) -> torch.Tensor:
    """The sequence of eq. (6), (B, S, C, h, w): x_{T-skip}, ..., x_1, x_0.

    The noise is drawn on the CPU from each image's own seed: neither the batch nor the device changes it.
    """
    start = schedule.steps - skip
    sequence = torch.empty((len(x_0), start + 1, *x_0.shape[1:]), dtype=x_0.dtype, device=x_0.device)
    for i, seed in enumerate(seeds):
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn((start, *x_0.shape[1:]), generator=generator).to(x_0)
        for slot, t in enumerate(range(start, 0, -1)):
            alpha_bar = schedule.alpha_bar[t]
            sequence[i, slot] = alpha_bar**0.5 * x_0[i] + (1 - alpha_bar) ** 0.5 * noise[slot]
    sequence[:, start] = x_0
    return sequence


@torch.inference_mode()
def invert(
    predict: Predict, x_0: torch.Tensor, schedule: SamplerSchedule, skip: int, seeds: Sequence[int]
) -> torch.Tensor:
    """The stacks (B, S, C, h, w) of images x_0 (B, C, h, w), a seed each; `skip` in [0, T).

    `predict` is asked once a step, for the whole batch. Raises FloatingPointError where it gives what is not finite.
    """
    stack = trajectory(x_0, schedule, skip, seeds)
    x = stack[:, 0].clone()
    for slot, t in enumerate(range(schedule.steps - skip, 0, -1), start=1):
        mean = posterior_mean(x, predict(x, schedule.timesteps[t]), t, schedule)
        stack[:, slot] = (stack[:, slot] - mean) / schedule.sigma[t]  # eq. (5)
        # On with what generation will see, not with the sequence: rounding then never adds up.
        x = mean + schedule.sigma[t] * stack[:, slot]
    _require_finite(stack)
    return stack


@torch.inference_mode()
def generate(predict: Predict, stack: torch.Tensor, schedule: SamplerSchedule) -> torch.Tensor:
    """The images x_0 (B, C, h, w) that stacks (B, S, C, h, w) lead to, by eq. (3). Raises as `invert` does."""
    x = stack[:, 0]
    for slot, t in enumerate(range(stack.shape[1] - 1, 0, -1), start=1):
        mean = posterior_mean(x, predict(x, schedule.timesteps[t]), t, schedule)
        x = mean + schedule.sigma[t] * stack[:, slot]
    _require_finite(x)
    return x


def _require_finite(values: torch.Tensor) -> None:
    """Once at the end: what is not finite stays so on its way there."""
    if not torch.isfinite(values).all():
        raise FloatingPointError("the diffusion model's prediction is not finite")
