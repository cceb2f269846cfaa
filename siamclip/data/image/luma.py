"""Grey values of a photo, as Pillow computes them."""

from __future__ import annotations

import cv2
import numpy as np

from siamclip.compiled import compiled


def luma(rgb: np.ndarray) -> np.ndarray:
    """uint8 (H, W) of (H, W, 3): Pillow's `convert("L")`, the L24 of its Convert.c, in a third of the time."""
    red, green, blue = (np.ascontiguousarray(plane).reshape(-1) for plane in cv2.split(rgb))
    gray: np.ndarray = _weighted_colours(red, green, blue).reshape(rgb.shape[:2])
    return gray


@compiled
def _weighted_colours(red: np.ndarray, green: np.ndarray, blue: np.ndarray) -> np.ndarray:
    gray = np.empty(len(red), np.uint8)
    for i in range(len(red)):
        r, g, b = np.int32(red[i]), np.int32(green[i]), np.int32(blue[i])
        gray[i] = np.int32(r * np.int32(19595) + g * np.int32(38470) + b * np.int32(7471) + np.int32(0x8000)) >> 16
    return gray
