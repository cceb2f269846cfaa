"""Number plates in the Chinese styles of GA 36-2018: what they say and what they look like."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from demo.vehicle.design.glyphs import DIGITS, PROVINCES, SERIAL_LETTERS, is_province, strokes

PLATE_HEIGHT_M = 0.14
_PIXELS_PER_MM = 0.4  # a plate texture is then 176 x 56: sharper than any sighting shows it
_SUPERSAMPLE = 4  # strokes are drawn this much larger and averaged down, for soft edges


@dataclass(frozen=True)
class PlateStyle:
    """Background from top to bottom and lettering, RGB; `digits` counts the characters after the province."""

    name: str
    top: tuple[int, int, int]
    bottom: tuple[int, int, int]
    ink: tuple[int, int, int]
    first_ink: tuple[int, int, int]
    width_mm: int
    digits: int


_WHITE, _BLACK, _RED = (245, 246, 248), (18, 18, 20), (190, 20, 24)
STYLES = {
    style.name: style
    for style in (
        PlateStyle("blue", (18, 66, 176), (14, 54, 156), _WHITE, _WHITE, 440, 6),
        PlateStyle("green", (240, 246, 242), (60, 178, 100), _BLACK, _BLACK, 480, 7),
        PlateStyle("yellow", (238, 176, 20), (228, 164, 12), _BLACK, _BLACK, 440, 6),
        PlateStyle("white", (236, 238, 240), (226, 228, 232), _BLACK, _RED, 440, 6),
    )
}


@dataclass(frozen=True)
class Plate:
    """A plate: its text as it is said (京A12345) and the name of its style in `STYLES`."""

    text: str
    style: str

    @property
    def width_m(self) -> float:
        """Width of the metal, metres."""
        return STYLES[self.style].width_mm / 1000


def sample_plate(generator: np.random.Generator, style: str, taken: set[str]) -> Plate:
    """A plate whose text is not in `taken`; the text is added to `taken`.

    Green plates carry D (battery) or F (hybrid) first, as the standard says; others mix digits with up to two
    letters.
    """
    while True:
        length = STYLES[style].digits - 1
        serial = generator.choice(list(DIGITS), length)
        if style == "green":
            serial[0] = generator.choice(["D", "F"])
        else:
            letters = generator.choice(length, int(generator.integers(0, 3)), replace=False)
            serial[letters] = generator.choice(list(SERIAL_LETTERS), len(letters))
        head = generator.choice(list(PROVINCES)) + generator.choice(list(SERIAL_LETTERS[:12]))
        text = head + "".join(serial)
        if text not in taken:
            taken.add(text)
            return Plate(text, style)


def _cells(style: PlateStyle) -> list[tuple[float, float]]:
    """Left edge and width in mm of every character; the gap after the second holds the dot."""
    count, gap, dot_gap = style.digits + 1, 12.0, 34.0
    if style.digits == 7:
        gap, dot_gap = 9.0, 30.0
    width = (style.width_mm - 30.0 - dot_gap - gap * (count - 2)) / count
    lefts, left = [], 15.0
    for index in range(count):
        lefts.append((left, width))
        left += width + (dot_gap if index == 1 else gap)
    return lefts


def draw_plate(plate: Plate) -> np.ndarray:
    """The plate face as uint8 (56, 176 or 192, 3) RGB, clean and evenly lit."""
    style = STYLES[plate.style]
    scale = _PIXELS_PER_MM * _SUPERSAMPLE
    width, height = round(style.width_mm * scale), round(140 * scale)
    ramp = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    face = (1 - ramp) * np.array(style.top, np.float32) + ramp * np.array(style.bottom, np.float32)
    image = np.ascontiguousarray(np.broadcast_to(face, (height, width, 3)).astype(np.uint8))
    border = round(4 * scale)
    cv2.rectangle(image, (border, border), (width - border, height - border), style.ink, round(2.5 * scale))
    for index, (character, (left, cell)) in enumerate(zip(plate.text, _cells(style), strict=True)):
        ink = style.first_ink if index == 0 else style.ink
        pen = 7.0 if is_province(character) else 11.0
        box = np.array([cell - pen, 90 - pen], np.float32)
        corner = np.array([left + pen / 2, 25 + pen / 2], np.float32)
        for line in strokes(character):
            points = np.round((corner + line * box) * scale).astype(np.int32)
            cv2.polylines(image, [points], False, ink, max(1, round(pen * scale)))
    left, cell = _cells(style)[1]
    dot = (round((left + cell + (30.0 if style.digits == 7 else 34.0) / 2) * scale), height // 2)
    cv2.circle(image, dot, round(5 * scale), style.ink, -1)
    size = (width // _SUPERSAMPLE, height // _SUPERSAMPLE)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
