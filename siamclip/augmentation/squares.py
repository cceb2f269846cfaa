"""Photos as the squares that a diffusion model takes, and what tells two of them apart."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import xxhash
from PIL import Image

from siamclip.augmentation.contracts import FusionPair
from siamclip.data.image.decode import content_hash, decode_with_size
from siamclip.data.image.preprocess import Geometry, Preprocessing
from siamclip.errors import ImageError


def reader(root: Path, side: int, geometry: Geometry, hashes: Mapping[str, str]) -> Read:
    """`read(path)` -> uint8 (side, side, 3) RGB and the photo's (width, height). `hashes`: path -> content hash.

    It raises ImageError for a photo that cannot be read, or has changed since it was hashed: its noise maps would be
    remembered as another's.
    """
    fitting = Preprocessing(size=side, geometry=geometry)

    def read(path: str) -> tuple[np.ndarray, tuple[int, int]]:
        file = root / path
        try:
            content = file.read_bytes()
        except OSError as error:
            raise ImageError(error.strerror or str(error), os.fspath(file)) from error
        if xxhash.xxh3_128_hexdigest(content) != hashes[path]:
            raise ImageError("has changed while the run was under way", os.fspath(file))
        pixels, size = decode_with_size(content, fitting.min_side)
        return fitting.fit(pixels), size

    return read


def content_hashes(root: Path, pairs: Sequence[FusionPair]) -> dict[str, str]:
    """Path -> content hash of every photo in a pair; "" for one that cannot be read, which `reader` then tells."""
    return {path: _hash_of(root / path) for path in sorted({path for one in pairs for path in (one.first, one.second)})}


def fingerprint(pairs: Sequence[FusionPair], hashes: Mapping[str, str]) -> str:
    """Of the pairs, in any order, and of what their photos hold."""
    lines = sorted("\0".join((one.first, hashes[one.first], one.second, hashes[one.second])) for one in pairs)
    return xxhash.xxh3_128_hexdigest("\0\0".join(lines).encode("utf-8", "surrogatepass"))


def _hash_of(file: Path) -> str:
    try:
        return content_hash(file)
    except ImageError:
        return ""


# uint8 (side, side, 3) RGB at the model's side, and the (width, height) that the photo itself has.
Photo = tuple[np.ndarray, tuple[int, int]]
Read = Callable[[str], Photo]  # by the photo's path; raises ImageError
LONGEST = 16  # sides: no image is stretched further than this


def stretched(square: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint8 (S, S, 3) in the shape of a photo of `size` (width, height): the shorter side stays S, the longer one
    grows, to LONGEST times S at most."""
    side = len(square)
    width, height = (min(LONGEST * side, max(side, round(side * length / min(size)))) for length in size)
    if (width, height) == (side, side):
        return square
    return np.array(Image.fromarray(square).resize((width, height), Image.Resampling.BICUBIC))
