"""Networks small enough for a property test; untrained, as the laws of the noise space do not ask for training."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

# Ho et al. 2020
LINEAR_BETAS = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
ALPHAS_CUMPROD = torch.cumprod(1 - LINEAR_BETAS, 0).numpy()


class RandomNetwork(torch.nn.Module):
    """Two convolutions that are told the step; deaf to nothing, trained on nothing."""

    def __init__(self, seed: int, channels: int = 3) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.inner = torch.nn.Conv2d(channels, 8, 3, padding=1)
            self.outer = torch.nn.Conv2d(8, channels, 3, padding=1)

    def forward(self, x: torch.Tensor, timestep: int) -> torch.Tensor:
        return self.outer(torch.sin(self.inner(x) * 3 + timestep / 100)) * 3


def random_predict(seed: int, dtype: torch.dtype, channels: int = 3) -> Callable[[torch.Tensor, int], torch.Tensor]:
    return RandomNetwork(seed, channels).to(dtype)


def tiny_unet(seed: int = 0, **changes: Any) -> UNet2DModel:
    arguments: dict[str, Any] = {
        "sample_size": 16,
        "block_out_channels": (8, 16),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
        "attention_head_dim": 8,
        "norm_num_groups": 4,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return UNet2DModel(**arguments | changes).eval()


def save_pipeline(folder: Path, unet: UNet2DModel | None = None, half: bool = False, **scheduler: Any) -> Path:
    """A DDPMPipeline in `folder`; a copy of the network is stored, in fp16 if `half`."""
    stored = copy.deepcopy(unet or tiny_unet())
    if half:
        for parameter in stored.parameters():
            parameter.data = parameter.data.half()
    DDPMPipeline(stored, DDPMScheduler(**scheduler)).save_pretrained(folder)
    return folder
