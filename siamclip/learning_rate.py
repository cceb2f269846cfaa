"""The learning-rate schedule: a warm-up, then a half cosine or a constant."""

from __future__ import annotations

import math


def learning_rate_factor(step: int, warmup_steps: float, total_steps: int, schedule: str) -> float:
    """In [0, 1]: rises linearly over the warm-up, then falls along a half cosine to 0, or stays."""
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    if schedule == "constant":
        return 1.0
    progress = (step - warmup_steps) / max(1.0, total_steps - warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
