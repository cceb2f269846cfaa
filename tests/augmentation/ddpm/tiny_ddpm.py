"""A network and a collection small enough that a training takes a second or two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import UNet2DModel
from PIL import Image
from safetensors.torch import load_file

from siamclip.augmentation.ddpm.network import make_unet

SIZE = 8
TINY: dict[str, Any] = {
    "sample_size": SIZE,
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "attention_at": (1,),
    "attention_head_dim": 8,
    "norm_num_groups": 4,
}
WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


def tiny_unet(seed: int = 0, **changed: Any) -> UNet2DModel:
    torch.manual_seed(seed)
    return make_unet({**TINY, **changed}, None)


def collection(root: Path, photos: int = 12) -> Path:
    """Photos of one colour each, in two folders; their sides differ."""
    rng = np.random.default_rng(0)
    for i in range(photos):
        folder = root / f"京A{i % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        height, width = rng.integers(10, 40, 2)
        photo = np.full((height, width, 3), rng.integers(0, 256, 3), np.uint8)
        Image.fromarray(photo).save(folder / f"{i}.png")
    return root


def stored(out: Path) -> dict[str, torch.Tensor]:
    """The weights that a training left."""
    return load_file(out / WEIGHTS)
