"""The range of every number among the settings."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from siamclip.cli.setting_ranges import RANGES, check
from siamclip.errors import UserError
from tests.script_settings import SETTINGS

ROOT = Path(__file__).resolve().parents[2]
TINY = 1e-9
# name -> (values at the edges of what is allowed, values just beyond them)
EDGES: dict[str, tuple[list[Any], list[Any]]] = {
    "margin": ([TINY, 2], [0, -1, 2 + TINY, math.nan]),
    "positive_margin": ([0, 2 - TINY], [-TINY, 2]),
    "threshold": ([0, 2], [-TINY, 2 + TINY]),
    "positive_ratio": ([TINY, 1 - TINY], [0, 1]),
    "val_ratio": ([TINY, 1 - TINY], [0, 1]),
    "test_ratio": ([0, 1 - TINY], [-TINY, 1]),
    "samples_per_class": ([2], [1, 0, -1]),
    "val_pairs_per_class": ([2], [1]),
    "photos_per_class": ([2], [1]),
    "hard_pool": ([1], [0]),
    "batch_size": ([1], [0, -1]),
    "num_epochs": ([1], [0]),
    "image_size": ([16, 2048], [15, 2049]),
    "learning_rate": ([TINY], [0, -1, math.nan]),
    "weight_decay": ([0], [-TINY]),
    "warmup_epochs": ([0], [-TINY]),
    "layer_decay": ([TINY, 1], [0, 1 + TINY]),
    "clip_norm": ([0], [-TINY]),
    "accumulation_steps": ([1], [0]),
    "early_stopping_patience": ([0], [-1]),
    "min_delta": ([0], [-TINY]),
    "freeze_blocks": ([0], [-1]),
    "num_workers": ([1], [0]),
    "cache_gb": ([0], [-TINY]),
    "save_every": ([1], [0]),
    "save_every_minutes": ([TINY], [0]),
    "flip_probability": ([0, 1], [-TINY, 1 + TINY]),
    "brightness": ([0, 1], [-TINY, 1 + TINY]),
    "contrast": ([0, 1], [-TINY, 1 + TINY]),
    "random_crop": ([0, 1 - TINY], [-TINY, 1]),
    "random_erasing": ([0, 1], [-TINY, 1 + TINY]),
    "mix_probability": ([0, 1], [-TINY, 1 + TINY]),
    "plate_mask_probability": ([0, 1], [-TINY, 1 + TINY]),
    "target_far": ([TINY, 1 - TINY], [0, 1]),
    "bootstrap_replicates": ([0], [-1]),
    "max_negative_pairs": ([1], [0]),
    "doubt_below": ([0.5, 1], [0.5 - TINY, 1 + TINY]),
    "top_k": ([1], [0]),
    "processes": ([0], [-1]),
    "min_per_class": ([0], [-1]),
    "same_view": ([-1, 1], [-1 - TINY, 1 + TINY]),
    "min_inliers": ([4], [3]),
    "thumbnails_mb": ([0], [-TINY]),
    "questions": ([12], [11]),
    "target_precision": ([TINY, 1 - TINY], [0, 1]),
    "similarity_threshold": ([-1, 1], [-1 - TINY, 1 + TINY]),
    "similarity_ceiling": ([-1, 1], [-1 - TINY, 1 + TINY]),
    "max_pairs": ([1], [0]),
    "max_uses": ([1], [0]),
    "ratio": ([0, 1], [-TINY, 1 + TINY]),
    "steps": ([1], [0]),
    "skip": ([0], [-1]),
    "eta": ([TINY, 1], [0, 1 + TINY]),
    "noise_cache_gb": ([0], [-TINY]),
    "gate_similarity": ([-1, 1], [-1 - TINY, 1 + TINY]),
    "gate_sharpness": ([0], [-TINY]),
    "sheet_rows": ([0], [-1]),
    "number": ([1], [0]),
    "train_timesteps": ([2], [1]),
    "num_steps": ([1], [0]),
    "warmup_steps": ([0], [-1]),
    "ema_decay": ([0, 1 - TINY], [-TINY, 1]),
    "sample_every": ([0], [-1]),
    "seed": ([0, 2**32 - 1], [-1, 2**32]),
}


def test_every_number_has_a_range_and_every_range_is_tested() -> None:
    numbers = {
        field.name
        for config in SETTINGS.values()
        for field in fields(config)
        if {"int", "float"} & set(str(field.type).split(" | "))
    }
    assert numbers == {name for name, _, _ in RANGES} == EDGES.keys()


@pytest.mark.parametrize("name", EDGES)
def test_a_range_ends_where_it_says(name: str) -> None:
    kind = next(config for config in SETTINGS.values() if name in config.__dataclass_fields__)
    inside, outside = EDGES[name]
    for value in inside:
        check(kind(**{name: value}))
    for value in outside:
        with pytest.raises(UserError, match=f"^{name} .*must be "):
            check(kind(**{name: value}))


def test_every_default_is_in_its_range() -> None:
    for kind in SETTINGS.values():
        check(kind())


def test_a_margin_above_2_ends_training_before_it_starts() -> None:
    stopped = subprocess.run(
        [sys.executable, "train.py", "--margin", "2.5"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (stopped.returncode, stopped.stdout) == (2, "")
    assert stopped.stderr.startswith("error: --margin 2.5: must be in (0, 2]")
    assert stopped.stderr.count("\n") == 1
