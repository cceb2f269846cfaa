"""A whole CLIP, both sides, small enough to build in milliseconds."""

from __future__ import annotations

import copy

import open_clip
import pytest
import torch

VIT = "ViT-B-32-quickgelu"


def shrink_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shrinks the architecture behind "ViT-B/32" in open_clip's own table: the layout stays OpenAI's."""
    config = copy.deepcopy(open_clip.get_model_config(VIT))
    config["embed_dim"] = 16
    config["vision_cfg"] |= {"layers": 3, "width": 64, "image_size": 64}
    config["text_cfg"] |= {"layers": 1, "width": 32, "heads": 2, "vocab_size": 50, "context_length": 8}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, VIT, config)


def pixels(number: int = 3, side: int = 64, seed: int = 0) -> torch.Tensor:
    """Normalised noise (number, 3, side, side)."""
    return torch.randn(number, 3, side, side, generator=torch.Generator().manual_seed(seed))
