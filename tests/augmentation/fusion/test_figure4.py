"""Figure 4 of Huberman-Spiegelglas et al. 2024: statistics of the noise maps, on the trained model that ships.

There the edit-friendly maps have a larger variance than the normal noise of the sampler, and each is negatively
correlated with its neighbour; the sampler's own noise has variance 1 and no correlation.
"""

from __future__ import annotations

import pytest
import torch

from siamclip.diffusion.ddpm_inversion import invert
from siamclip.diffusion.sampler_schedule import posterior_mean
from tests.augmentation.fusion.shipped_model import demo_photos, shipped

PHOTOS, STEPS = 4, 25


def _statistics(maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Maps (B, T, C, h, w) of t = T, ..., 1 -> the variance of each (T,), and each one's correlation to the next."""
    entries = maps.double().transpose(0, 1).flatten(1)
    correlation = torch.corrcoef(entries)
    return entries.var(1), correlation.diagonal(1)


@pytest.fixture(scope="module")
def edit_friendly(tmp_path_factory: pytest.TempPathFactory) -> tuple[torch.Tensor, torch.Tensor]:
    model = shipped()
    photos = demo_photos(tmp_path_factory.mktemp("demo") / "demo", PHOTOS, model.image_side)
    stack = invert(model.predict, model.encode(photos), model.schedule(STEPS, 1.0), 0, range(PHOTOS))
    return _statistics(stack[:, 1:])


@pytest.mark.slow
def test_edit_friendly_maps_have_more_variance_than_noise(edit_friendly: tuple[torch.Tensor, torch.Tensor]) -> None:
    variance, _ = edit_friendly
    # Not at t = 1, where the sampler itself adds no noise and sigma is borrowed from t = 2.
    assert variance[:-1].min() > 1.3
    assert variance[:-1].mean() > 2


@pytest.mark.slow
def test_neighbours_are_negatively_correlated(edit_friendly: tuple[torch.Tensor, torch.Tensor]) -> None:
    _, correlation = edit_friendly
    assert correlation.max() < 0
    assert correlation.mean() < -0.3


@pytest.mark.slow
@torch.inference_mode()
def test_the_sampler_s_own_noise_has_neither() -> None:
    """The native space: the same equation 5, along a trajectory that the model itself has drawn."""
    model = shipped()
    schedule = model.schedule(STEPS, 1.0)
    noise = torch.Generator().manual_seed(0)
    x = torch.randn((PHOTOS, *model.shape), generator=noise)
    maps = []
    for t in range(STEPS, 0, -1):
        mean = posterior_mean(x, model.predict(x, schedule.timesteps[t]), t, schedule)
        drawn = mean + schedule.sigma[t] * torch.randn(x.shape, generator=noise)
        maps.append((drawn - mean) / schedule.sigma[t])
        x = drawn
    variance, correlation = _statistics(torch.stack(maps, 1))
    # 49,152 entries a step: standard errors of 0.006 and 0.0045
    assert (variance - 1).abs().max() < 0.03
    assert correlation.abs().max() < 0.025
