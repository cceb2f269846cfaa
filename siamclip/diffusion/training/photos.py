"""The photos that a diffusion model is trained on, and which of them make up a step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import xxhash

from siamclip.data.walk import photos_below
from siamclip.errors import UserError


@dataclass(frozen=True)
class PhotoFiles:
    root: Path
    files: list[Path]

    @cached_property
    def fingerprint(self) -> str:
        """Of names, order and sizes: a training goes on only with the photos that it was started with."""
        digest = xxhash.xxh3_128()
        for file in self.files:
            name = file.relative_to(self.root).as_posix()
            digest.update(name.encode("utf-8", "surrogatepass") + b"\0%d\0" % _bytes(file))
        return digest.hexdigest()


def _bytes(file: Path) -> int:
    """The size of a file; -1 for what cannot even be asked, such as a link to nothing."""
    try:
        return file.stat().st_size
    except OSError:
        return -1


def find_photos(root: Path, out: Path) -> PhotoFiles:
    """All photos below `root`. Raises UserError if there is none, or if `out` lies inside it or around it."""
    if not root.is_dir():
        raise UserError("data", "is no folder", "give the folder of your photos", root)
    inner, outer = out.resolve(), root.resolve()
    if inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise UserError("out", f"must not be inside `data` {root}, nor around it", "choose another folder", out)
    try:
        files = photos_below(root)
    except OSError as error:
        raise UserError("data", f"cannot be listed ({error})", value=root) from None
    if not files:
        raise UserError("data", "holds no photo", "check the path", root)
    return PhotoFiles(root, files)


def batches(photos: int, size: int, seed: int, first: int, last: int) -> Iterator[np.ndarray]:
    """For each step in [first, last) the indices (size,) of its photos.

    The photos are shuffled anew for each epoch, and steps take them one after another, across the epochs' ends: all
    have the same size, however few photos there are. What a step takes depends on the seed and its number alone.
    """
    epoch, order = -1, np.empty(0, np.int64)
    for step in range(first, last):
        indices = np.empty(size, np.int64)
        for i, position in enumerate(range(step * size, (step + 1) * size)):
            if position // photos != epoch:
                epoch = position // photos
                order = np.random.default_rng([seed, epoch]).permutation(photos)
            indices[i] = order[position % photos]
        yield indices


def as_pixels(photos: np.ndarray, number: int, flip: bool) -> torch.Tensor:
    """uint8 (R, S, S, 3) -> float32 (number, 3, S, S) in [-1, 1], channels last in memory.

    Where photos of the batch could not be read, the others fill it up, so that a compiled network sees one shape.
    Half of them at random are mirrored if `flip`.
    """
    batch = torch.from_numpy(photos[np.arange(number) % len(photos)])
    if flip:
        mirrored = torch.rand(number) < 0.5
        batch = torch.where(mirrored[:, None, None, None], batch.flip(2), batch)
    return batch.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
