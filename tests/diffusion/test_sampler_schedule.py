"""The sampler's numbers, against diffusers' own schedulers."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from hypothesis import given
from hypothesis import strategies as st

from siamclip.diffusion.sampler_schedule import make_sampler_schedule, posterior_mean
from tests.augmentation.fusion.tiny_models import ALPHAS_CUMPROD

PREDICTIONS = ("epsilon", "v_prediction", "sample")


def _tensors(*seeds: int) -> list[torch.Tensor]:
    return [torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(seed)).double() for seed in seeds]


def _in_float64(scheduler: DDPMScheduler | DDIMScheduler) -> None:
    """diffusers computes in fp32, where 1 - abar loses most of its digits at the last steps."""
    scheduler.alphas_cumprod = torch.from_numpy(ALPHAS_CUMPROD)
    scheduler.one = torch.tensor(1.0, dtype=torch.float64)
    scheduler.final_alpha_cumprod = scheduler.one


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("clip", [None, 1.0, 0.5])
@pytest.mark.parametrize("steps", [1000, 50, 7, 1])
def test_mean_and_variance_are_those_of_ddpm(steps: int, clip: float | None, prediction: str) -> None:
    schedule = make_sampler_schedule(ALPHAS_CUMPROD, steps, 1.0, prediction, clip)
    peer = DDPMScheduler(prediction_type=prediction, clip_sample=clip is not None, clip_sample_range=clip or 1.0)
    _in_float64(peer)
    peer.set_timesteps(timesteps=list(reversed(schedule.timesteps[1:])))
    x, output = _tensors(1, 2)
    for t in {steps, max(1, steps // 2), min(steps, 2), 1}:
        timestep = schedule.timesteps[t]
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(t), dtype=x.dtype)
        theirs = peer.step(output, timestep, x, generator=torch.Generator().manual_seed(t)).prev_sample
        ours = posterior_mean(x, output, t, schedule)
        # DDPM adds no noise at its network's step 0; the other steps are the same with it.
        ours = ours + (schedule.sigma[t] * noise if timestep > 0 else 0)
        if t == 1 and timestep > 0:  # the last step's sigma is borrowed; its mean is the predicted image
            theirs = peer.step(output, timestep, x).pred_original_sample
            ours = posterior_mean(x, output, t, schedule)
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("eta", [1.0, 0.4, 0.01])
@pytest.mark.parametrize("clip", [None, 1.0])
@pytest.mark.parametrize("steps", [1000, 100, 10])
def test_a_step_is_that_of_ddim_with_eta(steps: int, clip: float | None, eta: float, prediction: str) -> None:
    schedule = make_sampler_schedule(ALPHAS_CUMPROD, steps, eta, prediction, clip)
    peer = DDIMScheduler(prediction_type=prediction, clip_sample=clip is not None, timestep_spacing="trailing")
    _in_float64(peer)
    peer.set_timesteps(steps)
    assert tuple(reversed(peer.timesteps.tolist())) == schedule.timesteps[1:]
    x, output, noise = _tensors(3, 4, 5)
    for t in (steps, steps // 2, 2):
        theirs = peer.step(
            output, schedule.timesteps[t], x, eta=eta, use_clipped_model_output=True, variance_noise=noise
        ).prev_sample
        ours = posterior_mean(x, output, t, schedule) + schedule.sigma[t] * noise
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


@given(trained=st.integers(1, 1200), data=st.data(), eta=st.floats(1e-3, 1.0))
def test_steps_are_a_subset_of_the_trained_ones(trained: int, data: st.DataObject, eta: float) -> None:
    steps = data.draw(st.integers(1, trained))
    alphas_cumprod = np.cumprod(1 - np.linspace(1e-4, 0.02, trained))
    schedule = make_sampler_schedule(alphas_cumprod, steps, eta)
    visited = schedule.timesteps[1:]
    assert len(visited) == steps == schedule.steps
    assert visited[-1] == trained - 1 and visited[0] >= 0
    assert all(later > earlier for earlier, later in pairwise(visited))
    assert schedule.alpha_bar[0] == 1.0
    assert all(b < a for a, b in pairwise(schedule.alpha_bar))
    assert all(sigma > 0 and math.isfinite(sigma) for sigma in schedule.sigma[1:])  # a noise map for every step


@pytest.mark.parametrize(("steps", "eta"), [(0, 1.0), (1001, 1.0), (-1, 1.0), (50, 0.0), (50, 1.01), (50, math.nan)])
def test_what_no_sampler_has_is_refused(steps: int, eta: float) -> None:
    with pytest.raises(ValueError, match=r"steps of a model|outside"):
        make_sampler_schedule(ALPHAS_CUMPROD, steps, eta)


def test_v_prediction_begins_where_nothing_of_the_image_is_left() -> None:
    """Lin et al. 2024 rescale the betas so that abar_T = 0."""
    alphas_cumprod = ALPHAS_CUMPROD.copy()
    alphas_cumprod[-1] = 0.0
    schedule = make_sampler_schedule(alphas_cumprod, 10, 1.0, "v_prediction")
    x, output = _tensors(6, 7)
    mean = posterior_mean(x, output, 10, schedule)
    previous, sigma = schedule.alpha_bar[9], schedule.sigma[10]
    assert sigma == pytest.approx((1 - previous) ** 0.5)  # x_9 is drawn anew: its mean is the image's part alone
    torch.testing.assert_close(mean, -(previous**0.5) * output)
