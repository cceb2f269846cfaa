"""One decoded photo and what several image scorers derive from it, each derived once."""

from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np
from PIL import Image

from siamclip.image import Header


class Decoded:
    """`rgb`: uint8 (H, W, 3), upright; `header`: what the file says of itself."""

    def __init__(self, rgb: np.ndarray, header: Header) -> None:
        self.rgb = rgb
        self.header = header

    @cached_property
    def gray(self) -> np.ndarray:
        """uint8 (H, W): 0.299 R + 0.587 G + 0.114 B in OpenCV's rounding: the sharpness formulas' input."""
        return cv2.cvtColor(self.rgb, cv2.COLOR_RGB2GRAY)

    @cached_property
    def luma(self) -> Image.Image:
        """Mode "L" in Pillow's rounding, which differs from `gray` by at most 1: the perceptual hashes' input."""
        return Image.fromarray(self.rgb).convert("L")
