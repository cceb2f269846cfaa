"""Grey photos in memory for the quality scorers, and tables of photos for the quality methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from siamclip.cleaning.contracts import PhotoTable
from siamclip.cleaning.decoded import Decoded
from siamclip.data.image.decode import Header
from tests.cleaning.photo_tables import photos_of

HEADER = Header("PNG", "RGB", 1, 1, 1, 1, False, False)

gray_images = hnp.arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def decoded(gray: np.ndarray) -> Decoded:
    """uint8 (H, W) as a photo whose `gray` is just that."""
    photo = Decoded(np.repeat(gray[:, :, None], 3, axis=2), HEADER)
    np.testing.assert_array_equal(photo.gray, gray)
    return photo


def textured(height: int, width: int, sigma: float, seed: int = 0) -> np.ndarray:
    """Noise under a Gaussian, stretched to 0..255: like a photo of grass."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), sigma), None, 0, 255, cv2.NORM_MINMAX)


def samples() -> dict[str, np.ndarray]:
    """uint8 (H, W): textures at even, odd and prime sizes, extreme patterns, and images smaller than any kernel."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[0:61, 0:84]
    return {
        "texture": textured(128, 192, 1.5),
        "blurred": textured(120, 161, 6.0),
        "odd": textured(101, 77, 1.0),
        "prime": textured(131, 257, 2.0),
        "noise": rng.integers(0, 256, (60, 91), dtype=np.uint8),
        "checkerboard": ((x + y) % 2 * 255).astype(np.uint8),  # the Laplacian's extremes: -1020 and 1020
        "columns": (x % 2 * 255).astype(np.uint8),
        "step": (x > 40).astype(np.uint8) * 255,
        "ramp": (x * 3).astype(np.uint8),
        "nearly flat": ((x == 5) & (y == 7)).astype(np.uint8) + 100,
        "flat black": np.zeros((20, 30), np.uint8),
        "flat white": np.full((20, 30), 255, np.uint8),
        **{f"{h} x {w}": rng.integers(0, 256, (h, w), dtype=np.uint8) for h in (1, 2, 3, 4) for w in (1, 2, 3, 4)},
        "1 x 9": rng.integers(0, 256, (1, 9), dtype=np.uint8),
        "9 x 1": rng.integers(0, 256, (9, 1), dtype=np.uint8),
    }


def photos(
    columns: Mapping[str, Sequence | np.ndarray],
    paths: Sequence[str] | None = None,
    errors: Mapping[int, str] | None = None,
    archived: Sequence[int] = (),
) -> PhotoTable:
    """A flat collection with these columns; `errors` and `archived` name rows."""
    number = len(paths) if paths is not None else len(next(iter(columns.values())))
    names = paths if paths is not None else [f"{row:05}.jpg" for row in range(number)]
    reasons = [(errors or {}).get(row, "") for row in range(number)]
    old = [row in archived for row in range(number)]
    return photos_of(*names, flat=True, errors=reasons, archived=old, **columns)
