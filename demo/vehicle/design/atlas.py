"""The pictures that cover a vehicle: sheets drawn in metres, packed into one atlas of colours and
materials.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from demo.vehicle.design.glyphs import strokes

# Materials, as stored in the atlas; `shade.py` says how each takes the light.
MATTE, PAINT, GLASS, METAL, TAIL_LAMP, HEAD_LAMP, PLATE = range(7)
Colour = tuple[int, int, int]


class Sheet:
    """A drawing surface in metres: x to the right and y upwards from the lower left corner."""

    _SHIFT = 4  # bits of sub-pixel position that OpenCV is given

    def __init__(self, width: float, height: float, density: float, colour: Colour, material: int) -> None:
        """Width and height in metres, density in pixels a metre."""
        self.width, self.height, self.density = width, height, density
        size = max(2, round(height * density)), max(2, round(width * density))
        self.rgb = np.empty((*size, 3), np.uint8)
        self.rgb[:] = colour
        self.material = np.full(size, material, np.uint8)

    def _pixels(self, points: np.ndarray) -> np.ndarray:
        pixels = np.asarray(points, np.float64) * self.density
        pixels[:, 1] = self.rgb.shape[0] - pixels[:, 1]
        return np.round(pixels * (1 << self._SHIFT)).astype(np.int32)

    def polygon(self, points: np.ndarray | list, colour: Colour, material: int) -> None:
        """Fills a polygon (n, 2)."""
        pixels = [self._pixels(np.asarray(points))]
        cv2.fillPoly(self.rgb, pixels, colour, cv2.LINE_AA, self._SHIFT)
        cv2.fillPoly(self.material, pixels, material, cv2.LINE_8, self._SHIFT)

    def rectangle(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, material: int) -> None:
        """Fills an upright rectangle."""
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour, material)

    def line(self, points: np.ndarray | list, width: float, colour: Colour, material: int | None = None) -> None:
        """Draws a polyline of a width in metres; without a material the one beneath stays."""
        pixels, pen = [self._pixels(np.asarray(points))], max(1, round(width * self.density))
        cv2.polylines(self.rgb, pixels, False, colour, pen, cv2.LINE_AA, self._SHIFT)
        if material is not None:
            cv2.polylines(self.material, pixels, False, material, pen, cv2.LINE_8, self._SHIFT)

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour, material: int) -> None:
        """Fills an upright ellipse."""
        turn = np.linspace(0, 2 * np.pi, 25)[:-1]
        self.polygon(np.stack([x + rx * np.cos(turn), y + ry * np.sin(turn)], 1), colour, material)

    def text(self, text: str, x: float, y: float, height: float, colour: Colour, upright: bool = True) -> None:
        """Writes glyphs centred at (x, y); with `upright` False they stand on their heads (the front,
        unrolled).
        """
        cell, sign = height * 0.5, 1 if upright else -1
        for index, character in enumerate(text):
            left = (index - len(text) / 2) * cell * 1.35
            for stroke in strokes(character):
                points = np.stack([left + stroke[:, 0] * cell, (0.5 - stroke[:, 1]) * height], 1)
                self.line([x, y] + sign * points, height * 0.15, colour)

    def shade(self, factor: np.ndarray) -> None:
        """Multiplies the colours by a factor (rows, columns) that is stretched over the sheet."""
        size = self.rgb.shape[1], self.rgb.shape[0]
        stretched = cv2.resize(factor.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
        self.rgb = np.clip(self.rgb * stretched[..., None], 0, 255).astype(np.uint8)


@dataclass
class Atlas:
    """Sheets one below the other; `add` gives each its place, `build` the two images."""

    _rgb: list[np.ndarray] = field(default_factory=list)
    _material: list[np.ndarray] = field(default_factory=list)
    _rows: int = 0

    def add(self, rgb: np.ndarray, material: np.ndarray) -> np.ndarray:
        """Places an image; returns its corners (4, 2) in atlas pixels: lower left, lower right, upper right
        and upper left, half a pixel inside so that bilinear sampling never reaches a neighbour."""
        height, width = material.shape
        top, self._rows = self._rows, self._rows + height
        self._rgb.append(rgb)
        self._material.append(material)
        left, right, low, high = 0.5, width - 1.5, top + height - 1.5, top + 0.5
        return np.array([[left, low], [right, low], [right, high], [left, high]])

    def add_sheet(self, sheet: Sheet) -> np.ndarray:
        """Places a sheet; see `add`."""
        return self.add(sheet.rgb, sheet.material)

    def swatch(self, colour: Colour, material: int) -> np.ndarray:
        """Places one flat colour."""
        return self.add(np.full((4, 4, 3), colour, np.uint8), np.full((4, 4), material, np.uint8))

    def build(self) -> tuple[np.ndarray, np.ndarray]:
        """The colours, uint8 (H, W, 3) RGB, and the materials, uint8 (H, W)."""
        width = max(image.shape[1] for image in self._rgb)
        pad = [(0, width - image.shape[1]) for image in self._rgb]
        rgb = [np.pad(image, ((0, 0), p, (0, 0))) for image, p in zip(self._rgb, pad, strict=True)]
        material = [np.pad(image, ((0, 0), p)) for image, p in zip(self._material, pad, strict=True)]
        return np.concatenate(rgb), np.concatenate(material)


def map_uv(corners: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Atlas coordinates (..., 2) of points at fractions x, y in [0, 1] of a placed image, from its lower
    left.
    """
    origin, right, up = corners[0], corners[1] - corners[0], corners[3] - corners[0]
    return origin + np.asarray(x)[..., None] * right + np.asarray(y)[..., None] * up
