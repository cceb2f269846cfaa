"""The denoising network and its noise schedule: from a preset, or from a model that is trained further."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from siamclip.errors import UserError
from siamclip.model import bf16_gains

if TYPE_CHECKING:
    from diffusers import DDPMScheduler, UNet2DModel

PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def make_unet(architecture: Mapping[str, Any], image_size: int | None) -> UNet2DModel:
    """diffusers' UNet2DModel of a preset: its arguments, with `attention_at` for the levels that have attention.

    Raises UserError for a side that the network cannot halve at each of its levels.
    """
    from diffusers import UNet2DModel

    arguments = dict(architecture)
    attention_at = arguments.pop("attention_at")
    levels = len(arguments["block_out_channels"])
    size = image_size or arguments["sample_size"]
    smallest = 2 ** (levels - 1)
    if size % smallest:
        near = max(smallest, round(size / smallest) * smallest)
        raise UserError(
            f"--image_size {size}: the network halves it {levels - 1} times, so it must be a multiple of {smallest}, "
            f"such as {near}"
        )
    down = tuple("AttnDownBlock2D" if level in attention_at else "DownBlock2D" for level in range(levels))
    up = tuple("AttnUpBlock2D" if level in attention_at else "UpBlock2D" for level in reversed(range(levels)))
    return UNet2DModel(**arguments | {"sample_size": size}, down_block_types=down, up_block_types=up)


def make_scheduler(train_timesteps: int, noise_schedule: str) -> DDPMScheduler:
    """Ho et al. 2020's linear betas, 1e-4 to 0.02 for 1000 steps, or the cosine of Nichol & Dhariwal 2021.

    For another number of steps the linear betas are scaled by 1000 / steps, so that the last step is as noisy (as in
    Nichol & Dhariwal's reference code).
    """
    from diffusers import DDPMScheduler

    scale = 1000 / train_timesteps
    return DDPMScheduler(
        train_timesteps,
        beta_start=min(0.999, 1e-4 * scale),
        beta_end=min(0.999, 0.02 * scale),
        beta_schedule=noise_schedule,
        prediction_type="epsilon",
    )


def load_network(source: str, image_size: int | None) -> tuple[UNet2DModel, DDPMScheduler]:
    """The network, in fp32, and the schedule of a diffusers DDPMPipeline. Raises UserError if it does not fit."""
    from diffusers import DDPMPipeline, UNet2DModel

    try:
        pipeline = DDPMPipeline.from_pretrained(source, torch_dtype=torch.float32)
    except Exception as error:  # diffusers raises many kinds, for a folder, a file, a network that is not there
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"--init_from {source}: is no diffusers DDPMPipeline that can be loaded ({reason})") from error
    unet, scheduler = pipeline.unet, pipeline.scheduler
    if not isinstance(unet, UNet2DModel) or (unet.config.in_channels, unet.config.out_channels) != (3, 3):
        raise UserError(f"--init_from {source}: must take and give 3 channels of pixels; choose another model")
    if scheduler.config.prediction_type != "epsilon":
        predicted = scheduler.config.prediction_type
        raise UserError(f"--init_from {source}: predicts {predicted}, not the noise (epsilon); choose another model")
    size = unet.config.sample_size
    if not isinstance(size, int):
        raise UserError(f"--init_from {source}: makes images of {size}, not squares; choose another model")
    if image_size not in (None, size):
        raise UserError(f"--image_size {image_size}: the model of --init_from makes {size} x {size}; leave it out")
    if unet.config.num_class_embeds is not None or unet.config.class_embed_type is not None:
        raise UserError(f"--init_from {source}: is told a class for each image, and photos have none; choose another")
    return unet, scheduler


def choose_precision(name: str, device: torch.device) -> torch.dtype | None:
    """The type that autocast computes in; None is fp32. "auto": where half precision is faster, it.

    Raises UserError for fp16 on a CPU.
    """
    if name == "fp16" and device.type == "cpu":
        raise UserError("--precision fp16: CPUs compute fp16 slower than fp32; use auto, bf16 or fp32")
    if name != "auto":
        return PRECISIONS[name]
    if device.type == "cuda":
        return torch.bfloat16 if bf16_gains(device) else torch.float16
    return torch.bfloat16 if device.type == "cpu" and bf16_gains(device) else None


def check_compiler(device: torch.device) -> None:
    """Compile three operations, so that a missing compiler shows now. Raises UserError."""
    try:
        torch.compile(lambda x: (x.sin() + 1).sum())(torch.ones(8, device=device))
    except Exception as error:  # inductor wraps whatever its compiler raises
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise UserError(
            f"--compile: cannot compile here ({reason}); install a C++ compiler such as g++, or leave the flag out"
        ) from error
