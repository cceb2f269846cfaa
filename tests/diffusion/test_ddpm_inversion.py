"""Laws of the noise space, for networks that were never trained."""

from __future__ import annotations

import math

import pytest
import torch
from diffusers import DDIMScheduler
from hypothesis import given, settings
from hypothesis import strategies as st

from siamclip.diffusion.ddpm_inversion import generate, invert, steps_of_slots, trajectory
from siamclip.diffusion.sampler_schedule import make_sampler_schedule
from tests.augmentation.fusion.tiny_models import ALPHAS_CUMPROD, random_predict

FEW, MANY = (1, 2, 5, 10), (50, 100)


def _images(number: int, seed: int, side: int = 8) -> torch.Tensor:
    """float64 in [-1, 1]."""
    return torch.rand(number, 3, side, side, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


def _psnr(first: torch.Tensor, second: torch.Tensor) -> float:
    """dB of images whose range is 2, the worst image's."""
    error = (first.double() - second.double()).square().flatten(1).mean(1).max().item()
    return math.inf if error == 0 else 10 * math.log10(4 / error)


_SAMPLERS = st.tuples(
    st.sampled_from(["epsilon", "v_prediction", "sample"]),
    st.sampled_from([None, 1.0]),
    st.sampled_from([1.0, 0.5, 0.05]),
)


@pytest.mark.parametrize("steps", FEW)
@settings(max_examples=15)
@given(seed=st.integers(0, 2**32), sampler=_SAMPLERS, data=st.data())
def test_maps_lead_back_to_their_image(
    steps: int, seed: int, sampler: tuple[str, float | None, float], data: st.DataObject
) -> None:
    _require_exact(steps, data.draw(st.integers(0, steps - 1)), seed, *sampler)


@pytest.mark.parametrize("steps", MANY)
@settings(max_examples=2)
@given(seed=st.integers(0, 2**32), sampler=_SAMPLERS)
def test_maps_of_many_steps_lead_back_to_their_image(
    steps: int, seed: int, sampler: tuple[str, float | None, float]
) -> None:
    _require_exact(steps, 0, seed, *sampler)


def _require_exact(steps: int, skip: int, seed: int, prediction: str, clip: float | None, eta: float) -> None:
    schedule = make_sampler_schedule(ALPHAS_CUMPROD, steps, eta, prediction, clip)
    x_0 = _images(2, seed)
    for dtype in (torch.float32, torch.float64):
        predict = random_predict(seed, dtype)
        stack = invert(predict, x_0.to(dtype), schedule, skip, [seed, seed + 1])
        assert stack.shape == (2, steps - skip + 1, 3, 8, 8) and stack.dtype == dtype
        back = generate(predict, stack, schedule)
        if dtype == torch.float64:
            assert (back - x_0).abs().max() < 1e-9
        else:
            assert _psnr(back, x_0) > 60


@pytest.mark.parametrize(("steps", "skip"), [(10, 0), (10, 4), (50, 49)])
def test_maps_are_those_of_the_paper_one_by_one(steps: int, skip: int) -> None:
    """Equations 5 and 6 written out, with mu from diffusers' DDIM."""
    schedule = make_sampler_schedule(ALPHAS_CUMPROD, steps, 0.8, "epsilon", 1.0)
    peer = DDIMScheduler(timestep_spacing="trailing")
    peer.alphas_cumprod = torch.from_numpy(ALPHAS_CUMPROD)
    peer.set_timesteps(steps)
    predict = random_predict(0, torch.float64)
    x_0 = _images(3, 1)
    seeds = [5, 6, 7]
    stack = invert(predict, x_0, schedule, skip, seeds)
    sequence = trajectory(x_0, schedule, skip, seeds)
    with torch.no_grad():
        for i in range(3):
            torch.testing.assert_close(stack[i, 0], sequence[i, 0])
            for slot, t in enumerate(range(steps - skip, 0, -1), start=1):
                x_t, x_previous = sequence[i, slot - 1][None], sequence[i, slot]
                output = predict(x_t, schedule.timesteps[t])
                if t == 1:
                    mean = peer.step(output, schedule.timesteps[t], x_t).pred_original_sample
                else:
                    no_noise = torch.zeros_like(x_t)
                    mean = peer.step(
                        output, schedule.timesteps[t], x_t, eta=0.8, use_clipped_model_output=True,
                        variance_noise=no_noise,
                    ).prev_sample  # fmt: skip
                torch.testing.assert_close(
                    stack[i, slot], (x_previous - mean[0]) / schedule.sigma[t], rtol=1e-5, atol=1e-5
                )


def test_the_sequence_has_independent_noise_at_every_step() -> None:
    schedule = make_sampler_schedule(ALPHAS_CUMPROD, 20)
    x_0 = _images(1, 0, side=64)
    sequence = trajectory(x_0, schedule, 0, [3])
    assert torch.equal(sequence[:, -1], x_0)
    noise = torch.stack(
        [
            (sequence[0, slot] - schedule.alpha_bar[t] ** 0.5 * x_0[0]) / (1 - schedule.alpha_bar[t]) ** 0.5
            for slot, t in enumerate(range(20, 0, -1))
        ]
    ).flatten(1)
    # 12,288 entries each: the standard error of a mean, and of a correlation, is 0.009
    assert noise.mean(1).abs().max() < 0.04
    assert (noise.std(1) - 1).abs().max() < 0.04
    correlation = torch.corrcoef(noise) - torch.eye(20, dtype=torch.float64)
    assert correlation.abs().max() < 0.05


def test_slots_belong_to_steps() -> None:
    assert steps_of_slots(5, 2).tolist() == [3, 3, 2, 1]
    assert steps_of_slots(1, 0).tolist() == [1, 1]


@pytest.mark.parametrize("steps", [1, 5, 50])
def test_the_batch_changes_nothing(steps: int) -> None:
    schedule = make_sampler_schedule(ALPHAS_CUMPROD, steps, 1.0, "epsilon", 1.0)
    x_0, seeds = _images(5, 2), [10, 11, 12, 13, 14]
    # In fp32 a convolution's rounding depends on the batch, and the first step divides by sqrt(abar_T), 0.006.
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-5 if steps >= 50 else 1e-3)):
        predict = random_predict(1, dtype)
        together = invert(predict, x_0.to(dtype), schedule, 0, seeds)
        images = generate(predict, together, schedule)
        for i in range(5):
            alone = invert(predict, x_0[i : i + 1].to(dtype), schedule, 0, seeds[i : i + 1])
            assert (generate(predict, together[i : i + 1], schedule) - images[i]).abs().max() < tolerance
            assert (generate(predict, alone, schedule) - images[i]).abs().max() < tolerance
        order = [3, 0, 4]
        others = invert(predict, x_0[order].to(dtype), schedule, 0, [seeds[i] for i in order])
        assert (generate(predict, others, schedule) - images[order]).abs().max() < tolerance


def test_the_seed_decides() -> None:
    schedule = make_sampler_schedule(ALPHAS_CUMPROD, 10)
    predict = random_predict(2, torch.float32)
    x_0 = _images(1, 3).float().expand(3, -1, -1, -1)
    same, other, again = invert(predict, x_0, schedule, 0, [1, 2, 1])
    assert torch.equal(same, again)
    assert (same - other).abs().mean() > 0.1
    state = torch.get_rng_state()
    invert(predict, x_0, schedule, 0, [4, 5, 6])
    assert torch.equal(torch.get_rng_state(), state)  # nobody else's random numbers are used up


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("at", [999, 499, 99])
def test_what_is_not_finite_is_told(at: int, value: float) -> None:
    """From the first step, one between and the last; in one image of three."""
    schedule = make_sampler_schedule(ALPHAS_CUMPROD, 10)
    honest = random_predict(3, torch.float32)

    def broken(x: torch.Tensor, timestep: int) -> torch.Tensor:
        output = honest(x, timestep).clone()
        if timestep == at:
            output[1, 0, 0, 0] = value
        return output

    x_0 = _images(3, 4).float()
    with pytest.raises(FloatingPointError, match="not finite"):
        invert(broken, x_0, schedule, 0, [1, 2, 3])
    stack = invert(honest, x_0, schedule, 0, [1, 2, 3])
    with pytest.raises(FloatingPointError, match="not finite"):
        generate(broken, stack, schedule)


def test_generation_leaves_its_stack_alone() -> None:
    schedule = make_sampler_schedule(ALPHAS_CUMPROD, 5)
    predict = random_predict(5, torch.float32)
    stack = invert(predict, _images(2, 5).float(), schedule, 0, [1, 2])
    before = stack.clone()
    generate(predict, stack, schedule)
    assert torch.equal(stack, before)
