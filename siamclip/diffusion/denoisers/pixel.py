"""A diffusion model of pixels: diffusers' UNet2DModel, as in Ho et al. 2020 (arXiv:2006.11239)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from siamclip.diffusion.denoisers.network import (
    Precision,
    check_precision,
    computing_in,
    fingerprint_of,
    load_part,
    square_side,
)
from siamclip.diffusion.noise_schedule import NoiseSchedule, noise_schedule_of, read_config
from siamclip.diffusion.sampler_schedule import SamplerSchedule
from siamclip.errors import UserError

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d import UNet2DModel

CHANNELS = 3


class PixelDenoiser:
    """A `Denoiser` (denoiser.py) whose x_0 is the photo itself, in [-1, 1]."""

    def __init__(
        self, network: UNet2DModel, noise: NoiseSchedule, name: str, device: torch.device, precision: Precision = "fp32"
    ) -> None:
        """`network` belongs to the denoiser from then on. Raises UserError where it takes or gives other things."""
        check_precision(precision, device)
        check_unet(network.config, name)
        side = square_side(network.config, name)
        self.name, self.image_side, self.shape = name, side, (CHANNELS, side, side)
        self._noise, self._device, self._precision = noise, device, precision
        # A network of 64 x 64 takes 5% less of a CPU's time in this layout, 16% less for one image; on a GPU half
        # precision asks for it.
        self._network = cast(Any, network.eval().requires_grad_(False))
        self._network.to(device=device, memory_format=torch.channels_last)
        settings = {key: value for key, value in network.config.items() if not key.startswith("_")}
        self.fingerprint = fingerprint_of([network], [settings], noise.described(), precision.encode())

    def schedule(self, steps: int, eta: float) -> SamplerSchedule:
        return self._noise.schedule(steps, eta, self.name)

    def encode(self, photos: np.ndarray) -> torch.Tensor:
        return to_unit_range(photos, self._device)

    def decode(self, x0: torch.Tensor) -> np.ndarray:
        return from_unit_range(x0)

    @torch.inference_mode()
    def predict(self, x_t: torch.Tensor, timestep: int) -> torch.Tensor:
        pixels = x_t.to(torch.float32).contiguous(memory_format=torch.channels_last)
        with computing_in(self._precision, self._device):
            output = self._network(pixels, timestep, return_dict=False)[0]
        return output.to(x_t.dtype).contiguous()


def open_pixel_denoiser(
    unet: Path, scheduler: Path, name: str, device: torch.device, precision: Precision
) -> PixelDenoiser:
    """From the folders of a network and of its scheduler_config.json. Raises UserError."""
    from diffusers import UNet2DModel

    check_unet(read_config(unet / "config.json", name), name)  # before the weights are read
    noise = noise_schedule_of(read_config(scheduler / "scheduler_config.json", name), name)
    network = load_part(UNet2DModel, unet, name, torch.device("cpu"))
    return PixelDenoiser(network, noise, name, device, precision)


def check_unet(config: Mapping[str, Any], name: str) -> None:
    """Raises UserError for a UNet2DModel that is not of RGB photos alone."""
    channels = config.get("in_channels", CHANNELS), config.get("out_channels", CHANNELS)
    if channels == (CHANNELS, 2 * CHANNELS):
        raise UserError(
            "diffusion", "its network gives 6 channels, the variance too (learned)", "choose a model of 3", name
        )
    if channels != (CHANNELS, CHANNELS):
        raise UserError(
            "diffusion", f"its network takes {channels[0]} channels and gives {channels[1]}", "photos have 3", name
        )
    if config.get("num_class_embeds") is not None or config.get("class_embed_type") is not None:
        raise UserError(
            "diffusion", "its network is told a class for each image, and photos have none", "choose another", name
        )
    side, halvings = square_side(config, name), len(config.get("down_block_types", (0,) * 4)) - 1
    if side % 2**halvings:
        raise UserError(
            "diffusion", f"its sample_size {side} cannot be halved {halvings} times, as its network does", value=name
        )


def to_unit_range(photos: np.ndarray, device: torch.device) -> torch.Tensor:
    """uint8 (B, H, W, 3) -> float32 (B, 3, H, W) in [-1, 1]."""
    pixels = torch.from_numpy(np.ascontiguousarray(photos)).to(device).permute(0, 3, 1, 2)
    return pixels.to(torch.float32, memory_format=torch.contiguous_format) / 127.5 - 1


def from_unit_range(images: torch.Tensor) -> np.ndarray:
    """The inverse, rounded and clipped: float (B, 3, H, W) -> uint8 (B, H, W, 3)."""
    pixels = ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(pixels.permute(0, 2, 3, 1).cpu().numpy())
