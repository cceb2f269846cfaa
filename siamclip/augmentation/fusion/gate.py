"""Whether a fused image is worth keeping: alike enough to both of its photos, and not blurred away."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import xxhash

from siamclip.cleaning.quality.sharpness.laplacian import variance

# Rounding to 8 bits alone leaves a Laplacian variance of (1 + 1 + 1 + 1 + 16) / 12: below it there is no detail.
_NO_DETAIL = 20 / 12
REMEMBERED = 1024  # photos' embeddings, 2 KiB each at 512 dimensions


class Embeds(Protocol):
    """What the gate asks of an embedder, `siamclip.embedding.embedder.Embedder` among others."""

    def embed(self, photos: Sequence[np.ndarray]) -> np.ndarray:
        """uint8 (S, S, 3) RGB each -> float32 (N, D) of unit length."""


@dataclass(frozen=True)
class Verdict:
    """`reason`: "" for an image that is kept, else "far_from_first", "far_from_second", "blurred" or "not_finite"."""

    reason: str
    text: str  # the reason in words, with the figures
    similarity_first: float
    similarity_second: float
    sharpness: float

    @property
    def scores(self) -> dict[str, float]:
        return {
            "similarity_first": self.similarity_first,
            "similarity_second": self.similarity_second,
            "sharpness": self.sharpness,
        }


@dataclass(frozen=True)
class GateSettings:
    min_similarity: float  # smallest cosine of an image's embedding to each photo's, in [-1, 1]
    min_sharpness: float  # smallest `sharpness_ratio`, 0 or more


class Gate:
    """Compares batches of fused images with their photos.

    The embeddings of the last `remembered` photos are kept, so that a photo in many pairs is embedded once.
    """

    def __init__(self, embedder: Embeds, settings: GateSettings, remembered: int = REMEMBERED) -> None:
        self.min_similarity, self.min_sharpness = settings.min_similarity, settings.min_sharpness
        self._embedder, self._remembered = embedder, remembered
        self._known: OrderedDict[bytes, np.ndarray] = OrderedDict()

    def verdicts(self, images: np.ndarray, first: np.ndarray, second: np.ndarray) -> list[Verdict]:
        """One verdict an image. All three are uint8 (B, S, S, 3) RGB at the diffusion model's size.

        The photos come at that size too: an image is compared with what the model was shown, so that its small size
        alone never rejects. Raises ValueError for arrays of different shapes.
        """
        if not images.shape == first.shape == second.shape or images.ndim != 4:
            raise ValueError(f"images {images.shape}, first {first.shape} and second {second.shape} do not fit")
        made, ones, others = self._embeddings(images, first, second)
        found = []
        for i in range(len(images)):
            # From the difference, as the pairs' similarity: 1 for equal photos.
            to_first, to_second = _cosine(made[i], ones[i]), _cosine(made[i], others[i])
            found.append(self._verdict(to_first, to_second, sharpness_ratio(images[i], first[i], second[i])))
        return found

    def _verdict(self, to_first: float, to_second: float, sharpness: float) -> Verdict:
        reason, text = "", ""
        if not all(map(math.isfinite, (to_first, to_second, sharpness))):
            reason, text = "not_finite", "the embedder's answer is not a number"
        elif to_first < self.min_similarity:
            reason, text = "far_from_first", f"similarity to the first photo {to_first:.3f} < {self.min_similarity:g}"
        elif to_second < self.min_similarity:
            reason, text = (
                "far_from_second",
                f"similarity to the second photo {to_second:.3f} < {self.min_similarity:g}",
            )
        elif sharpness < self.min_sharpness:
            reason, text = "blurred", f"{sharpness:.3f} of the photos' sharpness < {self.min_sharpness:g}"
        return Verdict(reason, text, to_first, to_second, sharpness)

    def _embeddings(self, images: np.ndarray, *photos: np.ndarray) -> list[np.ndarray]:
        """(B, D) of the images and of each batch of photos, in one call of the embedder."""
        keys = [[_key(photo) for photo in batch] for batch in photos]
        vectors = {key: self._known[key] for batch in keys for key in batch if key in self._known}
        new = {
            key: photo
            for batch, names in zip(photos, keys, strict=True)
            for photo, key in zip(batch, names, strict=True)
            if key not in vectors
        }
        embedded = self._embedder.embed([*images, *new.values()])
        vectors |= zip(new, embedded[len(images) :], strict=True)
        for key, vector in vectors.items():
            self._known[key] = vector
            self._known.move_to_end(key)
        while len(self._known) > self._remembered:
            self._known.popitem(last=False)
        return [embedded[: len(images)], *(np.stack([vectors[key] for key in batch]) for batch in keys)]


def sharpness_ratio(image: np.ndarray, first: np.ndarray, second: np.ndarray) -> float:
    """Variance of the Laplacian of an image's luma over the geometric mean of its photos': 1 for equal sharpness.

    uint8 (S, S, 3) RGB each. Flat areas count as if they had the detail of rounding, so that flat photos make a
    flat image of ratio 1. Pech-Pacheco et al. 2000, as in cleaning/quality/sharpness/laplacian.py.
    """
    made, one, other = (max(variance(cv2.cvtColor(x, cv2.COLOR_RGB2GRAY)), _NO_DETAIL) for x in (image, first, second))
    return made / math.sqrt(one * other)


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    difference = (a - b).astype(np.float64)
    return float(1 - difference @ difference / 2)


def _key(photo: np.ndarray) -> bytes:
    return xxhash.xxh3_128_digest(np.ascontiguousarray(photo).data)
