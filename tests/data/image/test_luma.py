"""Grey values are Pillow's, colour by colour."""

from __future__ import annotations

import numpy as np
from PIL import Image

from siamclip.data.image.luma import luma


def test_every_colour_there_is() -> None:
    plane = np.stack(np.meshgrid(np.arange(256), np.arange(256), indexing="ij"), axis=-1).astype(np.uint8)
    for red in range(256):
        rgb = np.dstack([np.full((256, 256), red, np.uint8), plane])
        assert np.array_equal(luma(rgb), np.asarray(Image.fromarray(rgb).convert("L")))
