"""What the parts of augmentation hand to each other.

    mode       two stacks of noise maps -> the weight of the first, for each entry   fusion/modes/<mode>.py
    denoiser   photos <-> the model's space, and the network's prediction            ../diffusion/denoisers/denoiser.py
    mixer      a batch of photos -> mixed photos, their partners and shares          mix/methods/<method>.py
    mask       a batch of photos -> photos with parts hidden; labels stay            mask/<method>.py

Whatever makes images writes them through `OutputFolder` (output/folder.py), one `MadeImage` each: fused and mixed
images are the same to who reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# Identity -> its share; shares are above 0 and sum to 1. One identity of share 1 is an ordinary label.
SoftLabel = Mapping[str, float]


@dataclass(frozen=True)
class FusionPair:
    """Two photos to fuse: paths relative to the input folder, with forward slashes; `first` < `second`."""

    first: str
    second: str
    similarity: float  # cosine of their embeddings
    output_name: str = ""  # what its images are called, but for "<mode>.png": see output/names.py

    @property
    def name(self) -> str:
        return self.output_name or f"{self.first}+{self.second}"


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


def soft_label(first: str, second: str, share: float) -> SoftLabel:
    """`share` in [0, 1] for the first identity, the rest for the second; no identity stands there with nothing."""
    if first == second:
        return {first: 1.0}
    return {name: part for name, part in ((first, share), (second, 1 - share)) if part > 0}
