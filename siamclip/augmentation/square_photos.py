"""Photos as the squares in which they are fused or mixed, and images in a photo's own shape again."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
import xxhash
from PIL import Image

from siamclip.data.image.decode import content_hash, decode_with_size
from siamclip.data.image.preprocess import Geometry, Preprocessing
from siamclip.errors import ImageError

# uint8 (side, side, 3) RGB, and the (width, height) that the photo itself has.
SquarePhoto: TypeAlias = tuple[np.ndarray, tuple[int, int]]
LONGEST_STRETCH = 16  # sides: no image is stretched further than this


class ReadsSquares(Protocol):
    """Photos by their paths relative to the collection."""

    @property
    def hashes(self) -> Mapping[str, str]:
        """Path -> content hash, of every photo that may be read."""

    def read(self, path: str) -> SquarePhoto:
        """Raises ImageError for a photo that cannot be read."""


class SquareReader:
    """Reads the photos below `root` as squares of `side` pixels.

    Each must have the content that was hashed: the noise maps of a photo that has changed since would be remembered as
    another's, and its images be taken for those of the photo that the manifest names.
    """

    def __init__(self, root: Path, side: int, geometry: Geometry, hashes: Mapping[str, str]) -> None:
        """`hashes`: of `content_hashes`."""
        self.hashes = hashes
        self._root, self._preprocessing = root, Preprocessing(size=side, geometry=geometry)

    def read(self, path: str) -> SquarePhoto:
        """Raises ImageError for a photo that cannot be read, could not be when it was hashed, or has changed since."""
        file = self._root / path
        try:
            content = file.read_bytes()
        except OSError as error:
            raise ImageError(error.strerror or str(error), os.fspath(file)) from error
        if not self.hashes[path]:
            raise ImageError("could not be read before", os.fspath(file))
        if xxhash.xxh3_128_hexdigest(content) != self.hashes[path]:
            raise ImageError("has changed while the run was under way", os.fspath(file))
        pixels, size = decode_with_size(content, self._preprocessing.min_side)
        return self._preprocessing.fit(pixels), size


def content_hashes(root: Path, paths: Iterable[str]) -> dict[str, str]:
    """Path -> content hash of each photo below `root`; "" for one that cannot be read: whoever reads it says why."""
    return {path: _hash_or_empty(root / path) for path in dict.fromkeys(paths)}


def _hash_or_empty(file: Path) -> str:
    try:
        return content_hash(file)
    except ImageError:
        return ""


def stretched(square: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint8 (S, S, 3) in the shape of a photo of `size` (width, height): the shorter side stays S, the longer one
    grows, to LONGEST_STRETCH times S at most."""
    side = len(square)
    width, height = (min(LONGEST_STRETCH * side, max(side, round(side * length / min(size)))) for length in size)
    if (width, height) == (side, side):
        return square
    return np.array(Image.fromarray(square).resize((width, height), Image.Resampling.BICUBIC))
