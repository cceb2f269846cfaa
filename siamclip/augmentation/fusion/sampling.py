"""A diffusion model with what its sampler is told: what inversion and generation share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from siamclip.data.image.preprocess import Geometry
from siamclip.errors import UserError

if TYPE_CHECKING:
    import torch

    from siamclip.augmentation.fusion.noise_cache import NoiseCache
    from siamclip.diffusion.denoisers.denoiser import Denoiser
    from siamclip.diffusion.sampler_schedule import SamplerSchedule


@dataclass(frozen=True)
class FusionSettings:
    """What the fused images depend on, beside photos, model and mode. Raises UserError where no step is left."""

    steps: int = 50  # of the sampler
    skip: int = 0  # of these, the noisiest ones
    eta: float = 1.0  # noise of the sampler, in (0, 1]
    seed: int = 42
    ratio: float = 0.5  # weight of the first photo, in [0, 1]
    keep_variance: bool = True  # see blend.py
    geometry: Geometry = "squash"  # how a photo becomes the model's square

    def __post_init__(self) -> None:
        if self.skip >= self.steps:
            raise UserError("skip", f"must be below `steps` {self.steps}", "with it no step is left", self.skip)

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> FusionSettings:
        """Of settings by name, among which may be others."""
        return cls(**{field.name: values[field.name] for field in fields(cls)})


@dataclass(frozen=True)
class DiffusionSampler:
    """`device`: the denoiser's. `cache`: where noise maps are kept, None for nowhere."""

    denoiser: Denoiser
    settings: FusionSettings
    batch_size: int  # images in each call of the network, always
    device: torch.device
    cache: NoiseCache | None = None

    @property
    def schedule(self) -> SamplerSchedule:
        """Raises UserError for more steps than the model was trained with."""
        return self.denoiser.schedule(self.settings.steps, self.settings.eta)
