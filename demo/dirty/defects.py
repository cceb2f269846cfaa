"""What goes wrong with photos in real collections, planted on purpose: pure functions from pixels or bytes."""

from __future__ import annotations

import io
from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image

Pixels = np.ndarray  # uint8 (H, W, 3) RGB
Edit = Callable[[Pixels, np.random.Generator], Pixels]


def jpeg(rgb: Pixels, quality: int = 90) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


# -- edits that leave a copy a copy -----------------------------------------------------------------------------------


def resized(rgb: Pixels, generator: np.random.Generator) -> Pixels:
    factor = generator.uniform(0.5, 0.8)
    return cv2.resize(rgb, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


def cropped(rgb: Pixels, generator: np.random.Generator) -> Pixels:
    """2 to 5% of each side away."""
    height, width = rgb.shape[:2]
    top, bottom = (int(height * share) for share in generator.uniform(0.02, 0.05, 2))
    left, right = (int(width * share) for share in generator.uniform(0.02, 0.05, 2))
    return np.ascontiguousarray(rgb[top : height - bottom, left : width - right])


def recompressed(rgb: Pixels, generator: np.random.Generator) -> Pixels:
    quality = int(generator.integers(15, 40))
    return np.array(Image.open(io.BytesIO(jpeg(rgb, quality))))


def brightened(rgb: Pixels, generator: np.random.Generator) -> Pixels:
    return np.clip(rgb * generator.uniform(1.1, 1.3), 0, 255).astype(np.uint8)


def softened(rgb: Pixels, generator: np.random.Generator) -> Pixels:
    return cv2.GaussianBlur(rgb, (0, 0), generator.uniform(0.8, 1.2))


def watermarked(rgb: Pixels, generator: np.random.Generator) -> Pixels:
    marked = rgb.copy()
    height, width = rgb.shape[:2]
    place = (int(width * generator.uniform(0.02, 0.3)), int(height * generator.uniform(0.8, 0.95)))
    cv2.putText(marked, "CAM 07", place, cv2.FONT_HERSHEY_SIMPLEX, width / 350, (255, 255, 255), 1, cv2.LINE_AA)
    return marked


def rotated(rgb: Pixels, generator: np.random.Generator) -> Pixels:
    """By 1 to 2 degrees."""
    height, width = rgb.shape[:2]
    angle = generator.uniform(1, 2) * generator.choice([-1, 1])
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.03)
    return cv2.warpAffine(rgb, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def mirrored(rgb: Pixels, generator: np.random.Generator) -> Pixels:
    return np.ascontiguousarray(rgb[:, ::-1])


COPIES: dict[str, Edit] = {
    "resize": resized,
    "crop": cropped,
    "jpeg": recompressed,
    "brightness": brightened,
    "blur": softened,
    "watermark": watermarked,
    "rotation": rotated,
    "flip": mirrored,
}


# -- what makes a photo useless ---------------------------------------------------------------------------------------


def blurred(rgb: Pixels, generator: np.random.Generator) -> Pixels:
    return cv2.GaussianBlur(rgb, (0, 0), max(rgb.shape[:2]) * generator.uniform(0.012, 0.02))


def dark(rgb: Pixels, generator: np.random.Generator) -> Pixels:
    return (rgb * generator.uniform(0.03, 0.1)).astype(np.uint8)


def over_exposed(rgb: Pixels, generator: np.random.Generator) -> Pixels:
    return np.clip(rgb * generator.uniform(3.0, 4.0) + 60, 0, 255).astype(np.uint8)


def tiny(rgb: Pixels, generator: np.random.Generator) -> Pixels:
    return cv2.resize(rgb, (int(generator.integers(20, 48)), int(generator.integers(16, 40))))


def extreme_aspect(rgb: Pixels, generator: np.random.Generator) -> Pixels:
    """A strip of the picture that is 4 to 6 times as wide as it is high, enlarged to an ordinary width."""
    height, width = rgb.shape[:2]
    strip = int(width / generator.uniform(4, 6))
    top = int(generator.integers(0, height - strip))
    return cv2.resize(rgb[top : top + strip], None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)


SPOILED: dict[str, Edit] = {
    "blurred": blurred,
    "dark": dark,
    "over_exposed": over_exposed,
    "tiny": tiny,
    "extreme_aspect": extreme_aspect,
}


def outlier(generator: np.random.Generator, side: int = 224) -> Pixels:
    """No vehicle: coloured discs, a striped wall, a sheet of text or a starry sky."""
    kind = generator.integers(4)
    canvas = np.full((side, side, 3), generator.integers(40, 220, 3), np.uint8)
    if kind == 0:
        for _ in range(40):
            centre, radius = generator.integers(0, side, 2).tolist(), int(generator.integers(4, side // 6))
            cv2.circle(canvas, centre, radius, generator.integers(0, 255, 3).tolist(), -1, cv2.LINE_AA)
    elif kind == 1:
        stripe = int(generator.integers(6, 24))
        canvas[(np.arange(side) // stripe) % 2 == 0] = generator.integers(0, 255, 3)
    elif kind == 2:
        canvas[:] = 245
        for line in range(12, side, 14):
            text = "".join(generator.choice(list("abcdefgh iklmnop rstu"), 34))
            cv2.putText(canvas, text, (6, line), cv2.FONT_HERSHEY_SIMPLEX, 0.35, (30, 30, 30), 1, cv2.LINE_AA)
    else:
        canvas[:] = (20, 24, 60)
        for x, y in generator.integers(0, side, (300, 2)):
            canvas[y, x] = generator.integers(150, 255)
    noise = generator.normal(0, 4, canvas.shape)
    return np.clip(canvas + noise, 0, 255).astype(np.uint8)


def corrupt(photo: bytes, generator: np.random.Generator) -> bytes:
    """Cut short, empty, or another file under a photo's name."""
    kind = generator.integers(4)
    if kind == 0:
        return b""
    if kind == 1:
        return b"<!DOCTYPE html><title>404 Not Found</title>"
    if kind == 2:
        return photo[: int(len(photo) * generator.uniform(0.3, 0.8))]
    return photo[:2] + bytes(200) + photo[202:]
