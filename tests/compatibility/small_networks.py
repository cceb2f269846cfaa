"""Networks of the old artefacts: the real architectures, so narrow that their weights are a few kilobytes."""

from __future__ import annotations

import copy
from dataclasses import replace

import open_clip
import pytest

import config_augment
from siamclip.models import clip_vit

SIDE = 32  # pixels, of CLIP's square


def shrink(monkeypatch: pytest.MonkeyPatch) -> None:
    """Narrow "ViT-B/32" here and in open_clip's own table, and the preset "small" of `augment.py train-ddpm`."""
    name = "ViT-B-32-quickgelu"
    config = copy.deepcopy(open_clip.get_model_config(name))
    config["embed_dim"] = 16
    config["vision_cfg"] |= {"layers": 2, "width": 16, "head_width": 8, "patch_size": 8, "image_size": SIDE}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, name, config)
    narrow = replace(
        clip_vit.SHAPES[name], dimension=16, blocks=2, width=16, head_width=8, patch_size=8, image_size=SIDE
    )
    monkeypatch.setitem(clip_vit.SHAPES, name, narrow)
    tiny = {
        "sample_size": 8,
        "block_out_channels": (4, 8),
        "layers_per_block": 1,
        "attention_at": (1,),
        "attention_head_dim": 8,
        "norm_num_groups": 4,
    }
    monkeypatch.setitem(config_augment.DDPM_PRESETS, "small", tiny)
