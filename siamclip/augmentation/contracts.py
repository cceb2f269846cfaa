"""What the parts of augmentation hand to each other.

    mode       two noise-map stacks -> the weight of the first, for each entry       fusion/<mode>.py
    denoiser   photos <-> the model's space, and the network's prediction            fusion/denoiser.py
    mixer      a batch of photos with soft labels -> mixed photos, soft labels, parents      mix/<method>.py
    mask       a batch of photos -> photos with parts hidden; labels stay            mask/<method>.py

Whatever makes images writes them through `OutputFolder` (output_folder.py), one `MadeImage` each: fused and mixed
images are the same to who reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import torch

    from siamclip.augmentation.fusion.schedule import Schedule

# Identity -> its share; shares are above 0 and sum to 1. One identity of share 1 is an ordinary label.
SoftLabel = Mapping[str, float]


@dataclass(frozen=True)
class Pair:
    """Two photos to fuse: paths relative to the input folder, with forward slashes; `first` < `second`."""

    first: str
    second: str
    similarity: float  # cosine of their embeddings


@dataclass(frozen=True)
class MadeImage:
    """A row of manifest.csv and manifest.parquet: one image that was made, kept or rejected."""

    path: str  # relative to the output folder, with forward slashes
    method: str  # the mode or the mixing method
    first: str  # the parents, relative to the input folder
    second: str  # "" where a method needs one photo alone
    ratio: float  # the first photo's share, the mean over the image where it varies
    similarity: float  # cosine of the parents' embeddings; NaN where it was not asked for
    soft_label: SoftLabel
    seed: int
    model: str  # the diffusion model's name; "" for methods without one
    rejected: str = ""  # the gate's reason; "" for an image that was kept
    scores: Mapping[str, float] = field(default_factory=dict)  # the gate's: a column each, gate_<name>
    settings: Mapping[str, object] = field(default_factory=dict)  # of the method, and of the sampler


class Denoiser(Protocol):
    """A diffusion model: a space in which x_0 lives, a network that predicts in it, and its noise schedule."""

    name: str
    fingerprint: str  # of weights, architecture, prompt and preprocessing: noise maps of another one do not fit
    shape: tuple[int, int, int]  # (C, h, w) of x_0
    image_side: int  # in pixels; images are squares

    def schedule(self, steps: int, eta: float) -> Schedule:
        """The sampler's numbers. Raises UserError for more steps than the model was trained with."""

    def encode(self, photos: np.ndarray) -> torch.Tensor:
        """uint8 (B, side, side, 3) RGB -> x_0, float32 (B, C, h, w) on the model's device."""

    def decode(self, x0: torch.Tensor) -> np.ndarray:
        """The inverse, rounded and clipped: uint8 (B, side, side, 3)."""

    def predict(self, x_t: torch.Tensor, timestep: int) -> torch.Tensor:
        """The network's output f_t(x_t), (B, C, h, w) in x_t's dtype: what the schedule's `prediction` says."""
