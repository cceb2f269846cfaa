"""From a photo to the square that a tower sees: three geometries, CLIP's resampling, CLIP's normalisation.

`geometry="crop"` with `reduced_decode=False` is CLIP's own preprocessing bit for bit (Radford et al. 2021,
arXiv:2103.00020). It cuts both ends off a wide vehicle; `squash` and `pad` keep the whole of it.

`reduced_decode=True` trades that identity for speed: a JPEG is decoded at a reduced scale, and torch's
vectorised uint8 resampling stands in for Pillow's (the same filter at 4 times the speed; off by one level, or
by more where bicubic overshoots 0 or 255). A 1260 x 840 JPEG then takes 6 ms on one core, and 13 without.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from PIL import Image

from siamclip.data.image.decode import ImageSource, decode
from siamclip.errors import ImageError, UserError

if TYPE_CHECKING:
    import torch

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

Interpolation = Literal["bicubic", "bilinear"]
Geometry = Literal["squash", "pad", "crop"]
RGB = tuple[float, float, float]

# A JPEG's reduced scales alias a little; what is left for the resampling to shrink smooths that again. Lowest
# cosine to a full decode, EfficientNet-Lite0 at 224 on 80 photos, squashed: 0.9926 without a margin, 0.9975
# with 1.25 or 1.5, 0.9993 with 1.75 or 2.
_DECODE_MARGIN = 1.75
_LONGEST_CROP = 100  # in sides: all of the resized image exists before the crop, gigabytes for 10,000 x 1
_RESAMPLING = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


@dataclass(frozen=True)
class Preprocessing:
    """What happens between a photo and a tower; a checkpoint keeps it: other settings make another model."""

    size: int = 224
    mean: RGB = CLIP_MEAN
    std: RGB = CLIP_STD
    interpolation: Interpolation = "bicubic"
    geometry: Geometry = "squash"
    reduced_decode: bool = True  # JPEGs at 1/2, 1/4 or 1/8 while both sides stay >= 1.75 size

    def __post_init__(self) -> None:
        if type(self.size) is not int or self.size < 1:
            raise UserError("", f"preprocessing size must be a whole number of pixels >= 1, not {self.size!r}")
        object.__setattr__(self, "mean", _rgb("mean", self.mean, lowest=0.0))
        object.__setattr__(self, "std", _rgb("std", self.std, lowest=1e-6))
        for name, kind in (("interpolation", Interpolation), ("geometry", Geometry)):
            value = getattr(self, name)
            if value not in get_args(kind):
                raise UserError("", f"preprocessing {name} must be one of {get_args(kind)}, not {value!r}")
        if not isinstance(self.reduced_decode, bool):
            raise UserError("", f"preprocessing reduced_decode must be a boolean, not {self.reduced_decode!r}")

    @property
    def pad_color(self) -> tuple[int, int, int]:
        """The mean colour in 0..255: what becomes (nearly) zero after normalisation."""
        red, green, blue = (round(255 * channel) for channel in self.mean)
        return red, green, blue

    @property
    def min_side(self) -> int | None:
        """What to give `decode` so that `fit` of the result is what `load` returns."""
        return math.ceil(_DECODE_MARGIN * self.size) if self.reduced_decode else None

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON; `from_dict` is the inverse."""
        return dataclasses.asdict(self) | {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Preprocessing:
        """Raises UserError for an unknown or missing key and for a bad value."""
        names = {field.name for field in dataclasses.fields(cls)}
        if values.keys() != names:
            unknown, missing = sorted(values.keys() - names), sorted(names - values.keys())
            raise UserError("", f"preprocessing: unknown keys {unknown}, missing keys {missing}")
        return cls(**values)

    def fit(self, image: np.ndarray) -> np.ndarray:
        """uint8 (H, W, 3) RGB to uint8 (size, size, 3). ImageError if `crop` would keep under 1%."""
        height, width, _ = image.shape
        target = resized_size((width, height), self.size, self.geometry)
        if max(target) > _LONGEST_CROP * self.size:
            raise ImageError("too elongated to crop: use squash or pad", f"<{width} x {height} image>")
        resize = _resize_vectorised if self.reduced_decode else _resize_as_clip
        resized = resize(image, target, self.interpolation)
        if self.geometry == "crop":
            return _centre_crop(resized, self.size)
        if self.geometry == "pad":
            return _centre_pad(resized, self.size, self.pad_color)
        return resized

    def load(self, source: ImageSource) -> np.ndarray:
        """Decode a file or its bytes and `fit` it: uint8 (size, size, 3). Raises ImageError."""
        return self.fit(decode(source, self.min_side))

    def normalise(self, batch: torch.Tensor) -> torch.Tensor:
        """uint8 (N, size, size, 3) to float32 (N, 3, size, size), (x / 255 - mean) / std, on its device."""
        import torch

        def per_channel(values: RGB) -> torch.Tensor:
            return torch.tensor(values, device=batch.device).mul_(255).view(1, 3, 1, 1)

        pixels = batch.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
        return pixels.sub_(per_channel(self.mean)).div_(per_channel(self.std))


def resized_size(full: tuple[int, int], size: int, geometry: Geometry) -> tuple[int, int]:
    """(width, height) to which an image of `full` (width, height) is resized before it is cropped or padded.

    crop: the shorter side becomes `size` and the longer one is rounded down, as torchvision's Resize does.
    """
    width, height = full
    if geometry == "squash":
        return size, size
    if geometry == "crop":
        short = min(width, height)
        return (size, int(size * height / short)) if width <= height else (int(size * width / short), size)
    long = max(width, height)
    return max(1, round(size * width / long)), max(1, round(size * height / long))


def _resize_as_clip(image: np.ndarray, size: tuple[int, int], interpolation: Interpolation) -> np.ndarray:
    return np.array(Image.fromarray(image).resize(size, _RESAMPLING[interpolation]))


def _resize_vectorised(image: np.ndarray, size: tuple[int, int], interpolation: Interpolation) -> np.ndarray:
    import torch
    from torch.nn.functional import interpolate

    pixels = torch.from_numpy(np.require(image, requirements=["C", "W"])).permute(2, 0, 1)[None]
    resized = interpolate(pixels, size[::-1], mode=interpolation, antialias=True)
    return np.ascontiguousarray(resized[0].permute(1, 2, 0).numpy())


def _centre_crop(image: np.ndarray, size: int) -> np.ndarray:
    """torchvision's CenterCrop: Python's round, so a half goes to the even neighbour."""
    top, left = (round((side - size) / 2) for side in image.shape[:2])
    return np.ascontiguousarray(image[top : top + size, left : left + size])


def _centre_pad(image: np.ndarray, size: int, color: tuple[int, int, int]) -> np.ndarray:
    height, width, _ = image.shape
    top, left = (size - height) // 2, (size - width) // 2
    canvas = np.full((size, size, 3), color, dtype=np.uint8)
    canvas[top : top + height, left : left + width] = image
    return canvas


def _rgb(name: str, values: Any, lowest: float) -> RGB:
    try:
        red, green, blue = (float(value) for value in values)
    except (TypeError, ValueError):
        raise UserError("", f"preprocessing {name} must be three numbers, not {values!r}") from None
    if not all(lowest <= value <= 1 for value in (red, green, blue)):  # written so that NaN fails too
        raise UserError("", f"preprocessing {name} must lie in [{lowest:g}, 1], not {values!r}")
    return red, green, blue
