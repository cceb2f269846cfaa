"""The denoising network and its noise schedule: from a preset, or from a model that is trained further."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from diffusers.models.unets.unet_2d import UNet2DModel
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

from siamclip.diffusion.denoisers.factory import find_model
from siamclip.diffusion.denoisers.network import load_part
from siamclip.diffusion.denoisers.pixel import check_unet
from siamclip.diffusion.noise_schedule import read_config
from siamclip.errors import UserError, settings_called


def make_unet(architecture: Mapping[str, Any], image_size: int | None) -> UNet2DModel:
    """diffusers' UNet2DModel of a preset: its arguments, with `attention_at` for the levels that have attention.

    Raises UserError for a side that the network cannot halve at each of its levels.
    """
    arguments = dict(architecture)
    attention_at = arguments.pop("attention_at")
    levels = len(arguments["block_out_channels"])
    size = image_size or arguments["sample_size"]
    smallest = 2 ** (levels - 1)
    if size % smallest:
        near = max(smallest, round(size / smallest) * smallest)
        raise UserError(
            "image_size",
            f"the network halves it {levels - 1} times, so it must be a multiple of {smallest}, such as {near}",
            value=size,
        )
    down = tuple("AttnDownBlock2D" if level in attention_at else "DownBlock2D" for level in range(levels))
    up = tuple("AttnUpBlock2D" if level in attention_at else "UpBlock2D" for level in reversed(range(levels)))
    return UNet2DModel(**arguments | {"sample_size": size}, down_block_types=down, up_block_types=up)


def make_scheduler(train_timesteps: int, noise_schedule: str) -> DDPMScheduler:
    """Ho et al. 2020's linear betas, 1e-4 to 0.02 for 1000 steps, or the cosine of Nichol & Dhariwal 2021.

    For another number of steps the linear betas are scaled by 1000 / steps, so that the last step is as noisy (as in
    Nichol & Dhariwal's reference code).
    """
    scale = 1000 / train_timesteps
    return DDPMScheduler(
        num_train_timesteps=train_timesteps,  # by name: diffusers takes what has no name for a default
        beta_start=min(0.999, 1e-4 * scale),
        beta_end=min(0.999, 0.02 * scale),
        beta_schedule=noise_schedule,
        prediction_type="epsilon",
    )


def load_network(source: str, image_size: int | None) -> tuple[UNet2DModel, DDPMScheduler]:
    """The network, in fp32, and the noise schedule of a model of pixels, named as for `open_denoiser`.

    Raises UserError if it does not fit.
    """
    with settings_called(diffusion="init_from"):
        folder = find_model(source)
        unet_folder, scheduler_folder = (
            folder / part if (folder / part).is_dir() else folder for part in ("unet", "scheduler")
        )
        check_unet(read_config(unet_folder / "config.json", source), source)
        noise = read_config(scheduler_folder / "scheduler_config.json", source)
        unet = load_part(UNet2DModel, unet_folder, source, torch.device("cpu"))
    predicted = noise.get("prediction_type", "epsilon")
    if predicted != "epsilon":
        raise UserError("init_from", f"predicts {predicted}, not the noise (epsilon)", "choose another model", source)
    size = unet.config["sample_size"]
    if image_size not in (None, size):
        raise UserError("image_size", f"the model of `init_from` makes {size} x {size}", "leave it out", image_size)
    return unet.requires_grad_(True), DDPMScheduler.from_config(noise)


def check_compiler(device: torch.device) -> None:
    """Compile three operations, so that a missing compiler shows now. Raises UserError."""
    try:
        torch.compile(lambda x: (x.sin() + 1).sum())(torch.ones(8, device=device))
    except Exception as error:  # inductor wraps whatever its compiler raises
        reason = " ".join(str(error).split("\n\n")[0].split())[:200].replace("`", "'") or type(error).__name__
        raise UserError(
            "compile", f"cannot compile here ({reason})", "install a C++ compiler such as g++, or leave the flag out"
        ) from error


def compile_network(network: torch.nn.Module) -> Any:
    """torch.compile, without its warning about diffusers' cached comparison of version numbers, which is constant."""
    warnings.filterwarnings("ignore", "Dynamo detected a call to a `functools.lru_cache`", UserWarning)
    return torch.compile(network)
