"""A network and a collection small enough that a training takes a second or two."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import UNet2DModel
from PIL import Image
from safetensors.torch import load_file

import augment
from siamclip.diffusion.training.architecture import make_unet
from siamclip.diffusion.training.run.state import FOLDER
from siamclip.models import checkpoint

SIZE = 8
TINY: dict[str, Any] = {
    "sample_size": SIZE,
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "attention_at": (1,),
    "attention_head_dim": 8,
    "norm_num_groups": 4,
}
EVERY_STEP = "1e-9"  # minutes
SHORT = ("--num_steps", "6", "--batch_size", "4", "--warmup_steps", "2", "--sample_every", "0", "--device", "cpu")
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


def run(photos: Path, out: Path, *flags: str) -> None:
    assert augment.main(["train-ddpm", str(photos), "--out", str(out), *SHORT, *flags]) == 0


def metadata(out: Path) -> dict[str, Any]:
    return checkpoint.read_metadata(out / FOLDER)


def assert_same_model(a: Path, b: Path) -> None:
    found, expected = stored(a), stored(b)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    for part in ("weights", "ema", "optimizer"):
        assert metadata(a)["files"][part]["xxh3"] == metadata(b)["files"][part]["xxh3"]


class Killed(BaseException):
    """Nothing that the training could handle."""


def killing(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, after: int, error: BaseException) -> None:
    """Let `owner.name` work `after` times and raise `error` from then on."""
    function: Callable[..., Any] = getattr(owner, name)
    calls = iter(range(after))

    def call(*arguments: Any, **named: Any) -> Any:
        if next(calls, None) is None:
            raise error
        return function(*arguments, **named)

    monkeypatch.setattr(owner, name, call)
