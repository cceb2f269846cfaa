"""What a denoiser is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import torch

    from siamclip.diffusion.sampler_schedule import SamplerSchedule


class Denoiser(Protocol):
    """A diffusion model: a space in which x_0 lives, a network that predicts in it, and its noise schedule."""

    name: str
    fingerprint: str  # of weights, architecture, prompt and preprocessing: noise maps of another one do not fit
    shape: tuple[int, int, int]  # (C, h, w) of x_0
    image_side: int  # in pixels; images are squares

    def schedule(self, steps: int, eta: float) -> SamplerSchedule:
        """The sampler's numbers. Raises UserError for more steps than the model was trained with."""

    def encode(self, photos: np.ndarray) -> torch.Tensor:
        """uint8 (B, side, side, 3) RGB -> x_0, float32 (B, C, h, w) on the model's device."""

    def decode(self, x0: torch.Tensor) -> np.ndarray:
        """The inverse, rounded and clipped: uint8 (B, side, side, 3)."""

    def predict(self, x_t: torch.Tensor, timestep: int) -> torch.Tensor:
        """The network's output f_t(x_t), (B, C, h, w) in x_t's dtype: what the schedule's `prediction` says."""
