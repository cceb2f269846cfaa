"""The presets' networks, noise schedules, models that are trained further, and precision."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMPipeline, DDPMScheduler, UNet2DModel

from config_augment import DDPM_PRESETS
from siamclip.diffusion.training.architecture import check_compiler, load_network, make_scheduler, make_unet
from siamclip.diffusion.training.run.output import public_config
from siamclip.errors import UserError
from tests.diffusion.training.tiny_ddpm import SIZE, TINY, tiny_unet

CPU = torch.device("cpu")


def test_small_preset() -> None:
    unet = make_unet(DDPM_PRESETS["small"], None)
    assert sum(p.numel() for p in unet.parameters()) / 1e6 == pytest.approx(3.5, abs=0.05)  # as its comment says
    assert unet.config["sample_size"] == 64
    down = ("DownBlock2D", "DownBlock2D", "DownBlock2D", "AttnDownBlock2D")
    assert tuple(unet.config["down_block_types"]) == down
    assert tuple(unet.config["up_block_types"]) == ("AttnUpBlock2D", "UpBlock2D", "UpBlock2D", "UpBlock2D")


def test_large_preset() -> None:
    with torch.device("meta"):  # its weights would take half a gigabyte
        unet = make_unet(DDPM_PRESETS["large"], 256)
    assert unet.config["sample_size"] == 256
    assert unet.config["down_block_types"][-2:] == ("AttnDownBlock2D", "AttnDownBlock2D")
    assert "AttnUpBlock2D" not in unet.config["up_block_types"][2:]


@pytest.mark.parametrize("size", [SIZE, 2 * SIZE])
def test_the_network_keeps_the_side(size: int) -> None:
    unet = make_unet(TINY, size)
    assert unet(torch.zeros(2, 3, size, size), torch.tensor([0, 5])).sample.shape == (2, 3, size, size)


@pytest.mark.parametrize(("preset", "size", "multiple"), [("small", 60, 8), ("large", 120, 16), ("large", 17, 16)])
def test_side_that_the_levels_do_not_divide(preset: str, size: int, multiple: int) -> None:
    with pytest.raises(UserError, match=rf"image_size {size}: .* multiple of {multiple}, such as (\d+)") as raised:
        make_unet(DDPM_PRESETS[preset], size)
    suggested = int(str(raised.value).rsplit(" ", 1)[1])
    assert suggested % multiple == 0
    assert abs(suggested - size) < multiple


def test_linear_schedule_is_that_of_ho() -> None:
    """abar by a naive loop over betas from 1e-4 to 0.02."""
    abar, expected = 1.0, []
    for t in range(1000):
        abar *= 1 - (1e-4 + (0.02 - 1e-4) * t / 999)
        expected.append(abar)
    np.testing.assert_allclose(make_scheduler(1000, "linear").alphas_cumprod, expected, rtol=1e-4)


@pytest.mark.parametrize("steps", [50, 200, 4000])
def test_other_numbers_of_steps_end_as_noisy(steps: int) -> None:
    last = make_scheduler(steps, "linear").alphas_cumprod[-1]
    assert math.sqrt(last) < 0.01  # 0.006 with 1000 steps


@pytest.mark.parametrize("schedule", ["linear", "squaredcos_cap_v2"])
@pytest.mark.parametrize("steps", [2, 10])
def test_very_few_steps_have_betas(steps: int, schedule: str) -> None:
    betas = make_scheduler(steps, schedule).betas
    assert ((betas > 0) & (betas < 1)).all()


def test_a_schedule_comes_back_from_its_plain_configuration() -> None:
    scheduler = make_scheduler(70, "squaredcos_cap_v2")
    again = DDPMScheduler.from_config(json.loads(json.dumps(public_config(scheduler.config))))
    assert torch.equal(again.betas, scheduler.betas)
    assert len(again.betas) == 70


def save(folder: Path, unet: UNet2DModel, scheduler: Any = None) -> str:
    DDPMPipeline(unet, scheduler or DDPMScheduler(100)).save_pretrained(folder)
    return str(folder)


def test_a_model_stored_in_half_is_trained_in_fp32(tmp_path: Path) -> None:
    unet = tiny_unet()
    expected = {name: p.half().float() for name, p in unet.state_dict().items()}
    loaded, scheduler = load_network(save(tmp_path / "model", unet.half()), None)
    for name, parameter in loaded.named_parameters():
        assert parameter.requires_grad
        assert parameter.dtype == torch.float32
        assert torch.equal(parameter, expected[name])
    assert scheduler.config["num_train_timesteps"] == 100


def test_a_ddim_models_betas_are_kept(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", tiny_unet(), DDIMScheduler(77, beta_schedule="squaredcos_cap_v2"))
    _, scheduler = load_network(folder, SIZE)
    assert isinstance(scheduler, DDPMScheduler)
    assert torch.equal(scheduler.betas, DDPMScheduler(77, beta_schedule="squaredcos_cap_v2").betas)


@pytest.mark.parametrize(
    ("changed", "scheduler", "size", "message"),
    [
        ({}, None, 16, f"image_size 16: the model of init_from makes {SIZE} x {SIZE}; leave it out"),
        ({"in_channels": 1}, None, None, "init_from .* channels"),
        ({"num_class_embeds": 3}, None, None, "init_from .* class for each image"),
        ({}, DDPMScheduler(10, prediction_type="v_prediction"), None, "predicts v_prediction, not the noise"),
    ],
)
def test_models_that_do_not_fit(
    changed: dict[str, Any], scheduler: Any, size: int | None, message: str, tmp_path: Path
) -> None:
    folder = save(tmp_path / "model", tiny_unet(**changed), scheduler)
    with pytest.raises(UserError, match=message):
        load_network(folder, size)


def test_no_model_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="init_from"):
        load_network(str(tmp_path), None)
    with pytest.raises(UserError, match="init_from nowhere"):
        load_network("nowhere", None)


def test_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch._inductor.config as inductor

    monkeypatch.setattr(inductor.cpp, "cxx", (None, "/no/such/g++"))
    with pytest.raises(UserError, match=r"compile: cannot compile here .*/no/such/g"):
        check_compiler(CPU)
