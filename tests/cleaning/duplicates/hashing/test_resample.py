"""Reduced images are Pillow's, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from siamclip.cleaning.duplicates.hashing.resample import Shrinker

sides = st.integers(1, 160)


@settings(deadline=None, max_examples=300)
@given(sides, sides, sides, sides, st.integers(0, 2**32 - 1), st.booleans())
def test_any_size_to_any_size(width: int, height: int, to_width: int, to_height: int, seed: int, hard: bool) -> None:
    rng = np.random.default_rng(seed)
    # Black and white ring most: sums then leave 0..255 and have to be clipped.
    pixels = rng.choice([0, 255], (height, width)) if hard else rng.integers(0, 256, (height, width))
    image = Image.fromarray(pixels.astype(np.uint8))
    expected = np.asarray(image.resize((to_width, to_height), Image.Resampling.LANCZOS))
    assert np.array_equal(Shrinker(np.asarray(image)).to(to_width, to_height), expected)


@pytest.mark.parametrize("size", [(1260, 840), (840, 1260), (640, 480), (300, 2000), (2000, 300), (4032, 3024)])
def test_the_sizes_of_the_hashes(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, size[::-1], dtype=np.uint8))
    shrinker = Shrinker(np.asarray(image))
    for to in ((8, 8), (9, 8), (8, 9), (16, 16), (17, 16), (32, 32), (64, 64), (256, 256), (512, 512)):
        assert np.array_equal(shrinker.to(*to), np.asarray(image.resize(to, Image.Resampling.LANCZOS))), to
