"""The range of every number among the settings, by name: one name means the same in every script."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from siamclip.errors import UserError


def check(config: object) -> None:
    """Raise UserError for a value outside its range, before any long work starts."""
    for name, inside, expected in RANGES:
        value = getattr(config, name, None)
        if value is not None and not inside(value):
            raise UserError(name, f"must be {expected}", value=value)


RANGES: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("margin", lambda x: 0 < x <= 2, "in (0, 2]: no two unit vectors are farther apart than 2"),
    ("positive_margin", lambda x: 0 <= x < 2, "in [0, 2)"),
    ("threshold", lambda x: 0 <= x <= 2, "in [0, 2], the range of distances between unit vectors"),
    ("positive_ratio", lambda x: 0 < x < 1, "between 0 and 1, both excluded"),
    ("val_ratio", lambda x: 0 < x < 1, "between 0 and 1, both excluded"),
    ("test_ratio", lambda x: 0 <= x < 1, "in [0, 1)"),
    ("samples_per_class", lambda x: x >= 2, "at least 2"),
    ("val_pairs_per_class", lambda x: x >= 2, "at least 2"),
    ("photos_per_class", lambda x: x >= 2, "at least 2"),
    ("hard_pool", lambda x: x >= 1, "at least 1"),
    ("batch_size", lambda x: x >= 1, "at least 1"),
    ("num_epochs", lambda x: x >= 1, "at least 1"),
    ("image_size", lambda x: 16 <= x <= 2048, "from 16 to 2048 pixels"),
    ("learning_rate", lambda x: x > 0, "above 0"),
    ("weight_decay", lambda x: x >= 0, "0 or more"),
    ("warmup_epochs", lambda x: x >= 0, "0 or more"),
    ("layer_decay", lambda x: 0 < x <= 1, "in (0, 1]"),
    ("clip_norm", lambda x: x >= 0, "0 or more"),
    ("accumulation_steps", lambda x: x >= 1, "at least 1"),
    ("early_stopping_patience", lambda x: x >= 0, "0 or more"),
    ("min_delta", lambda x: x >= 0, "0 or more"),
    ("freeze_blocks", lambda x: x >= 0, "0 or more"),
    ("num_workers", lambda x: x >= 1, "at least 1"),
    ("cache_gb", lambda x: x >= 0, "0 or more"),
    ("save_every", lambda x: x >= 1, "at least 1"),
    ("save_every_minutes", lambda x: x > 0, "above 0"),
    ("flip_probability", lambda x: 0 <= x <= 1, "in [0, 1]"),
    ("brightness", lambda x: 0 <= x <= 1, "in [0, 1]"),
    ("contrast", lambda x: 0 <= x <= 1, "in [0, 1]"),
    ("random_crop", lambda x: 0 <= x < 1, "in [0, 1)"),
    ("random_erasing", lambda x: 0 <= x <= 1, "in [0, 1]"),
    ("mix_probability", lambda x: 0 <= x <= 1, "in [0, 1]"),
    ("plate_mask_probability", lambda x: 0 <= x <= 1, "in [0, 1]"),
    ("target_far", lambda x: 0 < x < 1, "between 0 and 1, both excluded"),
    ("bootstrap_replicates", lambda x: x >= 0, "0 or more"),
    ("max_negative_pairs", lambda x: x >= 1, "at least 1"),
    ("doubt_below", lambda x: 0.5 <= x <= 1, "in [0.5, 1]"),
    ("top_k", lambda x: x >= 1, "at least 1"),
    ("processes", lambda x: x >= 0, "0 or more"),
    ("min_per_class", lambda x: x >= 0, "0 or more"),
    ("same_view", lambda x: -1 <= x <= 1, "in [-1, 1], a cosine"),
    ("min_inliers", lambda x: x >= 4, "at least 4"),
    ("thumbnails_mb", lambda x: x >= 0, "0 or more"),
    ("questions", lambda x: x >= 12, "at least 12"),
    ("target_precision", lambda x: 0 < x < 1, "between 0 and 1, both excluded"),
    ("similarity_threshold", lambda x: -1 <= x <= 1, "in [-1, 1], a cosine"),
    ("similarity_ceiling", lambda x: -1 <= x <= 1, "in [-1, 1], a cosine"),
    ("max_pairs", lambda x: x >= 1, "at least 1"),
    ("max_uses", lambda x: x >= 1, "at least 1"),
    ("ratio", lambda x: 0 <= x <= 1, "in [0, 1]"),
    ("steps", lambda x: x >= 1, "at least 1"),
    ("skip", lambda x: x >= 0, "0 or more"),
    ("eta", lambda x: 0 < x <= 1, "in (0, 1]: without noise (0, DDIM) there is no noise space"),
    ("noise_cache_gb", lambda x: x >= 0, "0 or more"),
    ("gate_similarity", lambda x: -1 <= x <= 1, "in [-1, 1], a cosine"),
    ("gate_sharpness", lambda x: x >= 0, "0 or more"),
    ("sheet_rows", lambda x: x >= 0, "0 or more"),
    ("number", lambda x: x >= 1, "at least 1"),
    ("train_timesteps", lambda x: x >= 2, "at least 2"),
    ("num_steps", lambda x: x >= 1, "at least 1"),
    ("warmup_steps", lambda x: x >= 0, "0 or more"),
    ("ema_decay", lambda x: 0 <= x < 1, "in [0, 1)"),
    ("sample_every", lambda x: x >= 0, "0 or more"),
    ("seed", lambda x: 0 <= x < 2**32, "from 0 to 4294967295"),
)
