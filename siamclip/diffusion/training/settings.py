"""What a training of a diffusion model is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

# What may differ between a training and its continuation: nothing that the weights depend on but for rounding, and the
# number of steps, for who sees that more are needed, or fewer: the learning rate then goes on along the new schedule.
MAY_CHANGE = frozenset(
    (
        *("data", "num_steps", "out", "resume", "device", "num_workers", "cache_gb"),
        *("save_every_minutes", "sample_every", "compile", "half"),
    )
)


@dataclass(frozen=True)
class DdpmSettings:
    """augment.py explains each setting, under the same name, and has the defaults."""

    architecture: Mapping[str, Any]  # see architecture.make_unet
    init_from: str | None
    image_size: int | None
    geometry: Literal["squash", "pad", "crop"]
    flip: bool
    train_timesteps: int
    noise_schedule: Literal["linear", "squaredcos_cap_v2"]
    num_steps: int
    batch_size: int
    learning_rate: float
    warmup_steps: int
    clip_norm: float
    ema_decay: float
    compile: bool
    device: str
    precision: Literal["auto", "fp32", "bf16", "fp16"]
    num_workers: int
    cache_gb: float
    sample_every: int
    save_every_minutes: float
    half: bool
    seed: int

    @classmethod
    def from_values(cls, values: Mapping[str, Any], architecture: Mapping[str, Any]) -> DdpmSettings:
        """Of settings by name, among which may be others."""
        names = [field.name for field in fields(cls) if field.name != "architecture"]
        return cls(architecture=architecture, **{name: values[name] for name in names})
