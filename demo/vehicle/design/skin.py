"""What is painted on the ends and the roof of a body: windows, lamps, trim, stickers, wear.

One sheet covers them: the strip, which is the outline from the rear bumper over the roof to the front bumper,
unrolled; x runs across from left to right, y along the arc length.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from demo.vehicle.design.atlas import GLASS, HEAD_LAMP, MATTE, METAL, PAINT, TAIL_LAMP, Colour, Sheet
from demo.vehicle.design.bodies import PANELS, Shape
from demo.vehicle.design.vehicle import Sticker, Vehicle

DENSITY = 110.0  # pixels a metre; a sighting shows a vehicle at about 90
_SEAM, _PLASTIC, _CHROME = (12, 12, 13), (44, 45, 47), (206, 208, 212)
_RED_LAMP, _AMBER, _CLEAR = (150, 10, 16), (214, 120, 20), (214, 220, 226)


@dataclass(frozen=True)
class Frame:
    """One panel of the strip, addressed by fractions: u across in [-1, 1] (left is -1), t along in [0, 1]."""

    sheet: Sheet
    start: float
    end: float
    width: float

    def at(self, u: float, t: float) -> tuple[float, float]:
        """Sheet coordinates, metres."""
        return self.width / 2 * (1 + u), self.start + t * (self.end - self.start)

    def quad(self, u0: float, t0: float, u1: float, t1: float, colour: Colour, material: int) -> None:
        """A rectangle between two corners."""
        self.sheet.polygon([self.at(u0, t0), self.at(u1, t0), self.at(u1, t1), self.at(u0, t1)], colour, material)

    def poly(self, points: list[tuple[float, float]], colour: Colour, material: int) -> None:
        """A polygon of (u, t)."""
        self.sheet.polygon([self.at(*point) for point in points], colour, material)

    def both(self, points: list[tuple[float, float]], colour: Colour, material: int) -> None:
        """A polygon and its mirror image."""
        self.poly(points, colour, material)
        self.poly([(-u, t) for u, t in points], colour, material)

    def seam(self, points: list[tuple[float, float]], width: float = 0.012, colour: Colour = _SEAM) -> None:
        """A gap between panels."""
        self.sheet.line([self.at(*point) for point in points], width, colour)


def glass_colour(vehicle: Vehicle) -> Colour:
    """The look of a window: from smoky to nearly black with the tint."""
    grey = 62 - 46 * vehicle.window_tint
    return round(grey * 0.92), round(grey), round(grey * 1.03)


def paint_strip(vehicle: Vehicle, shape: Shape) -> Sheet:
    """The strip of a body."""
    ends = shape.panel_ends
    sheet = Sheet(shape.width, float(ends[-1]), DENSITY, vehicle.paint, PAINT)
    frames = {name: Frame(sheet, float(ends[k]), float(ends[k + 1]), shape.width) for k, name in enumerate(PANELS)}
    _paint_roof(vehicle, frames)
    _paint_rear(vehicle, frames)
    _paint_front(vehicle, frames)
    _paint_stickers(vehicle, sheet, frames)
    wear(vehicle, sheet, 0)
    return sheet


def _paint_roof(vehicle: Vehicle, frames: dict[str, Frame]) -> None:
    roof, bonnet, deck = frames["roof"], frames["bonnet"], frames["deck"]
    if vehicle.two_tone == "roof":
        roof.quad(-1, 0, 1, 1, vehicle.accent, PAINT)
    if vehicle.sunroof:
        roof.quad(-0.55, 0.35, 0.55, 0.8, (20, 21, 23), GLASS)
    if vehicle.body in ("van", "bus"):
        for u in np.linspace(-0.7, 0.7, 5):
            roof.seam([(u, 0.06), (u, 0.94)], 0.02, darker(vehicle.paint, 0.86))
    if vehicle.body == "pickup":
        _paint_bed(vehicle, deck)
    bonnet.seam([(-0.86, 0), (-0.8, 1)])
    bonnet.seam([(0.86, 0), (0.8, 1)])
    bonnet.seam([(-0.45, 0.05), (-0.35, 0.9)], 0.02, darker(vehicle.paint, 0.88))
    bonnet.seam([(0.45, 0.05), (0.35, 0.9)], 0.02, darker(vehicle.paint, 0.88))
    if vehicle.stripe and vehicle.body in ("sedan", "hatchback", "suv"):
        for frame in (deck, roof, bonnet):
            frame.quad(-0.24, 0, -0.08, 1, vehicle.accent, PAINT)
            frame.quad(0.08, 0, 0.24, 1, vehicle.accent, PAINT)


def _paint_bed(vehicle: Vehicle, deck: Frame) -> None:
    if vehicle.cargo == "cover":
        deck.quad(-0.9, 0.04, 0.9, 0.96, (30, 31, 33), MATTE)
        deck.seam([(-0.9, 0.5), (0.9, 0.5)], 0.02, (54, 55, 58))
        return
    deck.quad(-0.86, 0.04, 0.86, 0.96, (34, 35, 37), MATTE)
    for u in np.linspace(-0.7, 0.7, 8):
        deck.seam([(u, 0.08), (u, 0.92)], 0.02, (20, 20, 22))


def _paint_rear(vehicle: Vehicle, frames: dict[str, Frame]) -> None:
    bumper, gate, window = frames["rear_bumper"], frames["tailgate"], frames["rear_window"]
    if vehicle.body == "truck":
        window.quad(-0.6, 0.35, 0.6, 0.8, glass_colour(vehicle), GLASS)
        return
    glass = glass_colour(vehicle)
    wide = 0.9 if vehicle.body in ("bus", "van") else 0.84
    window.poly([(-wide, 0.08), (wide, 0.08), (wide * 0.92, 0.9), (-wide * 0.92, 0.9)], (14, 14, 15), MATTE)
    window.poly([(-wide * 0.95, 0.12), (wide * 0.95, 0.12), (wide * 0.87, 0.86), (-wide * 0.87, 0.86)], glass, GLASS)
    window.seam([(0.0, 0.16), (0.42 * (1 if vehicle.lamp_style % 2 else -1), 0.3)], 0.02)  # the wiper
    if vehicle.bare_bumpers:
        bumper.quad(-1, 0, 1, 1, _PLASTIC, MATTE)
    else:
        bumper.quad(-1, 0, 1, 0.32, _PLASTIC, MATTE)
    bumper.quad(-0.9, 0.42, -0.74, 0.52, _RED_LAMP, MATTE)
    bumper.quad(0.74, 0.42, 0.9, 0.52, _RED_LAMP, MATTE)
    bumper.seam([(-1, 1), (1, 1)])
    gate.seam([(-0.82, 0), (-0.86, 1)])
    gate.seam([(0.82, 0), (0.86, 1)])
    if vehicle.body == "van" and vehicle.grille_style < 3:
        gate.seam([(0, 0), (0, 1)])
        window.seam([(0, 0), (0, 1)], 0.05, vehicle.paint)
    _TAIL_LAMPS[vehicle.tail_style](gate, bumper)
    if vehicle.chrome:
        gate.quad(-0.42, 0.66, 0.42, 0.74, _CHROME, METAL)
    ink = _CHROME if sum(vehicle.paint) < 500 else (70, 72, 76)
    x, y = gate.at(0.52, 0.84)
    gate.sheet.text(vehicle.badge, x, y, 0.065, ink)
    x, y = gate.at(0, 0.86)
    gate.sheet.ellipse(x, y, 0.05, 0.035, ink, METAL)


def _tall_tail(gate: Frame, bumper: Frame) -> None:
    gate.both([(-1, 0.15), (-0.8, 0.15), (-0.84, 1), (-1, 1)], _RED_LAMP, TAIL_LAMP)
    gate.both([(-1, 0.5), (-0.81, 0.5), (-0.82, 0.65), (-1, 0.65)], _CLEAR, MATTE)


def _wide_tail(gate: Frame, bumper: Frame) -> None:
    gate.both([(-1, 0.5), (-0.55, 0.62), (-0.55, 0.8), (-1, 0.95)], _RED_LAMP, TAIL_LAMP)
    gate.both([(-1, 0.5), (-0.8, 0.55), (-0.8, 0.64), (-1, 0.62)], _AMBER, MATTE)


def _round_tail(gate: Frame, bumper: Frame) -> None:
    for u, colour, material in ((-0.86, _RED_LAMP, TAIL_LAMP), (-0.66, _CLEAR, MATTE)):
        for sign in (-1, 1):
            x, y = gate.at(u * sign, 0.62)
            gate.sheet.ellipse(x, y, 0.085, 0.085, _PLASTIC, MATTE)
            gate.sheet.ellipse(x, y, 0.07, 0.07, colour, material)


def _bar_tail(gate: Frame, bumper: Frame) -> None:
    gate.quad(-1, 0.66, 1, 0.84, _RED_LAMP, TAIL_LAMP)
    gate.both([(-1, 0.5), (-0.78, 0.58), (-0.78, 0.9), (-1, 1)], (110, 6, 12), TAIL_LAMP)


def _hook_tail(gate: Frame, bumper: Frame) -> None:
    gate.both([(-1, 0.3), (-0.88, 0.3), (-0.86, 0.7), (-0.6, 0.76), (-0.6, 0.92), (-1, 0.95)], _RED_LAMP, TAIL_LAMP)
    gate.both([(-0.86, 0.5), (-0.72, 0.56), (-0.72, 0.68), (-0.86, 0.66)], _CLEAR, MATTE)


def _low_tail(gate: Frame, bumper: Frame) -> None:
    gate.both([(-1, 0.02), (-0.66, 0.02), (-0.7, 0.34), (-1, 0.42)], _RED_LAMP, TAIL_LAMP)
    gate.both([(-1, 0.28), (-0.68, 0.24), (-0.7, 0.34), (-1, 0.42)], _AMBER, MATTE)


_TAIL_LAMPS: tuple[Callable[[Frame, Frame], None], ...] = (
    _tall_tail,
    _wide_tail,
    _round_tail,
    _bar_tail,
    _hook_tail,
    _low_tail,
)


def _paint_front(vehicle: Vehicle, frames: dict[str, Frame]) -> None:
    screen, grille, bumper = frames["windscreen"], frames["grille"], frames["front_bumper"]
    screen.poly([(-0.9, 0.06), (0.9, 0.06), (0.94, 0.97), (-0.94, 0.97)], (14, 14, 15), MATTE)
    clear = tuple(round(54 - 20 * vehicle.window_tint) + shift for shift in (-3, 0, 2))
    screen.poly([(-0.86, 0.1), (0.86, 0.1), (0.9, 0.9), (-0.9, 0.9)], clear, GLASS)  # type: ignore[arg-type]
    for u in (-0.42, 0.42):  # the heads of the seats
        screen.quad(u - 0.13, 0.34, u + 0.13, 0.6, (28, 28, 30), GLASS)
    screen.quad(-0.1, 0.1, 0.1, 0.2, (16, 16, 18), GLASS)
    if vehicle.ornament is not None:
        side = 0.5 if vehicle.lamp_style % 2 else -0.3
        screen.quad(side - 0.12, 0.7, side + 0.12, 0.88, vehicle.ornament, MATTE)
    for u in (0.58, 0.72):  # inspection labels, top corner
        screen.quad(u - 0.05, 0.14, u + 0.05, 0.24, (224, 214, 150), MATTE)
    if vehicle.bare_bumpers:
        bumper.quad(-1, 0, 1, 1, _PLASTIC, MATTE)
    grille.seam([(-1, 0), (1, 0)])
    bumper.quad(-0.6, 0.35, 0.6, 0.75, (22, 23, 24), MATTE)
    bumper.both([(-0.92, 0.35), (-0.72, 0.35), (-0.72, 0.6), (-0.92, 0.6)], (26, 27, 28), MATTE)
    bumper.both([(-0.87, 0.4), (-0.77, 0.4), (-0.77, 0.54), (-0.87, 0.54)], _CLEAR, METAL)
    _GRILLES[vehicle.grille_style](grille, vehicle.chrome)
    _HEAD_LAMPS[vehicle.lamp_style](grille)
    x, y = grille.at(0, 0.3)
    grille.sheet.ellipse(x, y, 0.055, 0.04, _CHROME, METAL)


def _plain_grille(grille: Frame, chrome: bool) -> None:
    grille.quad(-0.5, 0.15, 0.5, 0.7, (20, 21, 22), MATTE)
    if chrome:
        grille.quad(-0.5, 0.38, 0.5, 0.46, _CHROME, METAL)


def _slat_grille(grille: Frame, chrome: bool) -> None:
    grille.quad(-0.46, 0.1, 0.46, 0.95, (24, 25, 26), MATTE)
    for t in (0.25, 0.45, 0.65, 0.85):
        grille.quad(-0.45, t - 0.04, 0.45, t + 0.02, _CHROME if chrome else (92, 94, 98), METAL)


def _hexagon_grille(grille: Frame, chrome: bool) -> None:
    outer = [(-0.52, 0.4), (-0.4, 0.05), (0.4, 0.05), (0.52, 0.4), (0.34, 1.0), (-0.34, 1.0)]
    grille.poly(outer, _CHROME if chrome else (30, 31, 33), METAL if chrome else MATTE)
    grille.poly([(u * 0.9, 0.1 + t * 0.82) for u, t in outer], (16, 17, 18), MATTE)


def _closed_grille(grille: Frame, chrome: bool) -> None:
    grille.seam([(-0.5, 0.2), (0.5, 0.2)], 0.02)
    if chrome:
        grille.quad(-0.9, 0.12, 0.9, 0.18, _CHROME, METAL)


def _split_grille(grille: Frame, chrome: bool) -> None:
    frame_colour = _CHROME if chrome else (40, 41, 44)
    grille.both([(-0.42, 0.05), (-0.05, 0.05), (-0.05, 0.85), (-0.36, 0.85)], frame_colour, METAL)
    grille.both([(-0.38, 0.12), (-0.08, 0.12), (-0.08, 0.78), (-0.33, 0.78)], (16, 17, 18), MATTE)


_GRILLES: tuple[Callable[[Frame, bool], None], ...] = (
    _plain_grille,
    _slat_grille,
    _hexagon_grille,
    _closed_grille,
    _split_grille,
)


def _wide_lamp(grille: Frame) -> None:
    grille.both([(-1, 0.0), (-0.56, 0.16), (-0.58, 0.5), (-1, 0.5)], _CLEAR, HEAD_LAMP)


def _slim_lamp(grille: Frame) -> None:
    grille.both([(-1, 0.0), (-0.5, 0.12), (-0.5, 0.28), (-1, 0.22)], _CLEAR, HEAD_LAMP)
    grille.both([(-1, 0.22), (-0.6, 0.26), (-0.62, 0.34), (-1, 0.32)], (30, 30, 32), MATTE)


def _round_lamp(grille: Frame) -> None:
    for sign in (-1, 1):
        x, y = grille.at(0.76 * sign, 0.4)
        grille.sheet.ellipse(x, y, 0.13, 0.11, (40, 41, 43), MATTE)
        grille.sheet.ellipse(x, y, 0.11, 0.095, _CLEAR, HEAD_LAMP)


def _square_lamp(grille: Frame) -> None:
    grille.both([(-0.98, 0.1), (-0.62, 0.1), (-0.62, 0.7), (-0.98, 0.7)], _CLEAR, HEAD_LAMP)
    grille.both([(-0.98, 0.55), (-0.62, 0.55), (-0.62, 0.7), (-0.98, 0.7)], _AMBER, MATTE)


def _angled_lamp(grille: Frame) -> None:
    grille.both([(-1, -0.1), (-0.7, 0.1), (-0.54, 0.56), (-0.9, 0.4)], _CLEAR, HEAD_LAMP)


_HEAD_LAMPS: tuple[Callable[[Frame], None], ...] = (
    _wide_lamp,
    _slim_lamp,
    _round_lamp,
    _square_lamp,
    _angled_lamp,
)


def _paint_stickers(vehicle: Vehicle, sheet: Sheet, frames: dict[str, Frame]) -> None:
    for sticker in vehicle.stickers:
        if sticker.face == "rear":
            frame = frames["tailgate"] if sticker.y < 0.6 else frames["rear_window"]
            draw_sticker(sheet, sticker, *frame.at(1.5 * (sticker.x - 0.5), sticker.y))
        elif sticker.face == "front":
            frame = frames["bonnet"] if sticker.y < 0.6 else frames["windscreen"]
            draw_sticker(sheet, sticker, *frame.at(1.5 * (sticker.x - 0.5), 0.3 + 0.5 * sticker.y), upright=False)


def draw_sticker(sheet: Sheet, sticker: Sticker, x: float, y: float, upright: bool = True) -> None:
    """A decal centred at (x, y) of a sheet."""
    half, ink = sticker.size / 2, sticker.ink
    if sticker.shape == "disc":
        sheet.ellipse(x, y, half, half, sticker.fill, PAINT)
        sheet.ellipse(x, y, half * 0.55, half * 0.55, ink, PAINT)
    elif sticker.shape == "square":
        sheet.rectangle(x - half, y - half, x + half, y + half, sticker.fill, PAINT)
        sheet.rectangle(x - half * 0.7, y - half * 0.2, x + half * 0.7, y + half * 0.3, ink, PAINT)
    elif sticker.shape == "bar":
        sheet.rectangle(x - half * 1.8, y - half * 0.4, x + half * 1.8, y + half * 0.4, sticker.fill, PAINT)
        sheet.rectangle(x - half * 1.8, y - half * 0.1, x + half * 1.8, y + half * 0.1, ink, PAINT)
    elif sticker.shape == "star":
        turn = np.linspace(0, 2 * np.pi, 11)[:-1] + np.pi / 2
        reach = half * np.where(np.arange(10) % 2, 0.45, 1.1)
        points = np.stack([x + reach * np.cos(turn), y + reach * np.sin(turn)], 1)
        sheet.polygon(points, sticker.fill, PAINT)
    else:
        sheet.text(sticker.text, x, y, sticker.size, sticker.fill, upright)


def darker(colour: Colour, factor: float) -> Colour:
    return round(colour[0] * factor), round(colour[1] * factor), round(colour[2] * factor)


def wear(vehicle: Vehicle, sheet: Sheet, stream: int) -> None:
    """Dirt in patches, and on the strip (stream 0) the scratches and dents of the ends."""
    generator = np.random.default_rng([vehicle.marks_seed, stream])
    for _ in range(vehicle.scratches):
        start = generator.uniform([0.05, 0.05], [0.95, 0.95]) * [sheet.width, sheet.height]
        steps = np.cumsum(generator.normal(0, 0.05, (4, 2)) + np.array([generator.normal(0, 0.1), 0]), 0)
        pale = sum(vehicle.paint) < 420
        sheet.line(start + steps, 0.015, (186, 184, 180) if pale else (110, 106, 102))
    patches = 1 - (0.1 + 0.3 * vehicle.dirt) * generator.random((7, 9)) ** 2
    sheet.shade(patches)
