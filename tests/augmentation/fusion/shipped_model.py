"""The trained model that ships, and photos of the kind that it was trained on."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch

from demo.build import build_demo
from siamclip.data.image.preprocess import Preprocessing
from siamclip.diffusion.denoisers.denoiser import Denoiser
from siamclip.diffusion.denoisers.factory import open_denoiser

NAME = "vehicles64"


@cache
def shipped() -> Denoiser:
    return open_denoiser(NAME, torch.device("cpu"))


def demo_photos(folder: Path, number: int, side: int) -> np.ndarray:
    """uint8 (number, side, side, 3): each of another demo vehicle, which the model has never seen."""
    paths = build_demo(folder, vehicles=number, sightings=1, cloned_plates=0, size=2 * side, seed=4321, workers=1)
    preprocessing = Preprocessing(size=side)
    return np.stack([preprocessing.load(path) for path in sorted(paths.vehicles.rglob("*.jpg"))])
