"""One decoded photo and what several image scorers derive from it, each derived once."""

from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np

from siamclip.data.image.decode import Header


class Decoded:
    """`pixels`: uint8 (H, W, 3) RGB, or (H, W) luma where no scorer asks for colour; upright.
    `header`: what the file says of itself."""

    def __init__(self, pixels: np.ndarray, header: Header) -> None:
        self._pixels = pixels
        self.header = header

    @property
    def rgb(self) -> np.ndarray:
        """uint8 (H, W, 3); TypeError where the photo was decoded without colour."""
        if self._pixels.ndim == 2:
            raise TypeError("the photo was decoded without colour; the scorer's row must not say grey")
        return self._pixels

    @cached_property
    def gray(self) -> np.ndarray:
        """uint8 (H, W): 0.299 R + 0.587 G + 0.114 B in OpenCV's rounding: the sharpness formulas' input."""
        return cv2.cvtColor(self.rgb, cv2.COLOR_RGB2GRAY)

    @cached_property
    def luma(self) -> np.ndarray:
        """uint8 (H, W): the same in Pillow's rounding, which differs by at most 1: the perceptual hashes' input."""
        if self._pixels.ndim == 2:
            return self._pixels
        from siamclip.data.image.luma import luma

        return luma(self._pixels)
