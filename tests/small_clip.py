"""A whole CLIP, both sides, small enough to build in milliseconds."""

from __future__ import annotations

import copy
from dataclasses import replace

import open_clip
import pytest
import torch

from siamclip.models import clip_vit
from siamclip.models.encoder import SiameseEncoder, create

VIT = "ViT-B-32-quickgelu"


def shrink_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shrinks the architecture behind "ViT-B/32", here and in open_clip's own table: the layout stays OpenAI's."""
    config = copy.deepcopy(open_clip.get_model_config(VIT))
    config["embed_dim"] = 16
    config["vision_cfg"] |= {"layers": 3, "width": 64, "image_size": 64}
    config["text_cfg"] |= {"layers": 1, "width": 32, "heads": 2, "vocab_size": 50, "context_length": 8}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, VIT, config)
    small = replace(clip_vit.SHAPES[VIT], blocks=3, width=64, image_size=64, dimension=16)
    monkeypatch.setitem(clip_vit.SHAPES, VIT, small)


def pixels(number: int = 3, side: int = 64, seed: int = 0) -> torch.Tensor:
    """Normalised noise (number, 3, side, side)."""
    return torch.randn(number, 3, side, side, generator=torch.Generator().manual_seed(seed))


def on_meta(model: str) -> SiameseEncoder:
    """The architecture without memory for its weights."""
    with torch.device("meta"):
        return create(model, "random")


def gradients(encoder: SiameseEncoder, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """Of a loss that is the same for the same images, by parameter, in training mode."""
    encoder.zero_grad()
    encoder.train()
    (encoder(images) * torch.linspace(-1, 1, encoder.spec.dimension)).sum().backward()
    return {name: p.grad.clone() for name, p in encoder.tower.named_parameters() if p.grad is not None}
