"""What is painted on the sides of a body: windows, doors, wheel arches, lettering; x along as seen from
outside.
"""

from __future__ import annotations

import numpy as np

from demo.vehicle.design.atlas import GLASS, HEAD_LAMP, MATTE, METAL, PAINT, TAIL_LAMP, Colour, Sheet
from demo.vehicle.design.bodies import Shape
from demo.vehicle.design.skin import DENSITY, darker, draw_sticker, glass_colour, wear
from demo.vehicle.design.vehicle import Vehicle

_SEAM, _PLASTIC, _CHROME, _ARCH = (14, 14, 15), (44, 45, 47), (206, 208, 212), (9, 9, 10)


class _Side:
    """A sheet whose points are given as in the vehicle: x forward from the middle, z up."""

    def __init__(self, vehicle: Vehicle, shape: Shape, left: bool) -> None:
        self.vehicle, self.shape, self.left = vehicle, shape, left
        self.sheet = Sheet(shape.length, shape.height, DENSITY, vehicle.paint, PAINT)

    def to_sheet(self, x: float, z: float) -> tuple[float, float]:
        return (self.shape.length / 2 - x if self.left else self.shape.length / 2 + x), z

    def polygon(self, points: list[tuple[float, float]], colour: Colour, material: int) -> None:
        self.sheet.polygon([self.to_sheet(*point) for point in points], colour, material)

    def rectangle(self, x0: float, z0: float, x1: float, z1: float, colour: Colour, material: int) -> None:
        self.polygon([(x0, z0), (x1, z0), (x1, z1), (x0, z1)], colour, material)

    def line(self, points: list[tuple[float, float]], width: float, colour: Colour) -> None:
        self.sheet.line([self.to_sheet(*point) for point in points], width, colour)


def is_panel_van(vehicle: Vehicle) -> bool:
    """Whether a van carries goods: closed sides behind the front doors."""
    return vehicle.body == "van" and vehicle.grille_style >= 3


def paint_side(vehicle: Vehicle, shape: Shape, left: bool) -> Sheet:
    """One side of a body; the left one has the front on its left."""
    side = _Side(vehicle, shape, left)
    _paint_trim(side)
    _paint_windows(side)
    _paint_doors(side)
    _paint_lamps(side)
    _paint_arches(side)
    _paint_marks(side)
    wear(vehicle, side.sheet, 1 if left else 2)
    return side.sheet


def _glasshouse(side: _Side) -> list[tuple[float, float]]:
    """Outline of the side windows: rear bottom, rear top, front top, front bottom."""
    keys, belt = side.shape.keys, side.shape.belt
    drop = 0.13 if side.vehicle.body not in ("bus", "truck") else 0.26
    (x3, _), (x4, z4), (x5, z5), (x6, _) = keys[3], keys[4], keys[5], keys[6]
    if side.vehicle.body == "bus":
        return [(x3 + 0.2, belt), (x4 + 0.15, z4 - drop), (x5 - 0.1, z5 - drop), (x6 - 0.12, belt)]
    slope = (x4 - x3) * 0.25
    front = x6 - 0.24 * (x6 - x5)
    return [(x3 + 0.13 + slope, belt), (x4 + 0.13, z4 - drop), (x5 - 0.02, z5 - drop), (front, belt + 0.01)]


def _pillars(side: _Side, house: list[tuple[float, float]]) -> list[float]:
    rear, front = house[0][0], house[3][0]
    return [rear + fraction * (front - rear) for fraction in side.shape.body.pillars]


def _paint_windows(side: _Side) -> None:
    vehicle, house = side.vehicle, _glasshouse(side)
    centre = np.mean(house, axis=0)
    rim = [tuple(centre + (np.array(point) - centre) * [1.03, 1.1]) for point in house]
    chrome = vehicle.chrome and vehicle.body in ("sedan", "suv", "mpv")
    side.polygon(rim, _CHROME if chrome else (13, 13, 14), METAL if chrome else MATTE)
    side.polygon(house, glass_colour(vehicle), GLASS)
    z0, z1 = side.shape.belt - 0.02, house[1][1] + 0.02
    for x in _pillars(side, house):
        side.line([(x, z0), (x, z1)], 0.07, (13, 13, 14))
    if is_panel_van(vehicle):
        edge = _pillars(side, house)[-1] - 0.05
        side.rectangle(-side.shape.length / 2, side.shape.belt - 0.08, edge, side.shape.height, vehicle.paint, PAINT)
        for x in np.linspace(-side.shape.length / 2 + 0.4, edge - 0.3, 3):
            side.line([(x, z0), (x, z1)], 0.03, darker(vehicle.paint, 0.84))


def _paint_doors(side: _Side) -> None:
    shape, vehicle = side.shape, side.vehicle
    house, sill = _glasshouse(side), 0.19 * side.shape.height
    if vehicle.body == "bus":
        near_front = shape.length / 2 - 0.55
        if not side.left:  # traffic on the right: doors to the kerb
            for x in (near_front - 0.75, -0.3):
                side.rectangle(x - 0.55, sill, x + 0.55, shape.height * 0.84, (20, 21, 23), MATTE)
                side.rectangle(x - 0.48, sill + 0.1, x - 0.04, shape.height * 0.8, (48, 52, 54), GLASS)
                side.rectangle(x + 0.04, sill + 0.1, x + 0.48, shape.height * 0.8, (48, 52, 54), GLASS)
        side.line([(-shape.length / 2, shape.belt - 0.25), (shape.length / 2, shape.belt - 0.25)], 0.02, _SEAM)
        return
    rear_axle, front_axle = shape.axles
    gap = shape.body.wheel_radius * 1.25
    edges = [house[3][0] + 0.05, *_pillars(side, house)]
    if vehicle.body == "truck":
        edges = [house[3][0] - 0.02, house[0][0] - 0.02]
    for x in edges:
        foot = x
        if abs(x - rear_axle) < gap:
            foot = rear_axle + gap
        elif abs(x - front_axle) < gap:
            foot = front_axle - gap
        side.line([(x, shape.belt), (foot, shape.belt * 0.62), (foot, sill)], 0.014, _SEAM)
        handle = x + 0.12
        if vehicle.body != "truck":
            side.rectangle(
                handle,
                shape.belt - 0.14,
                handle + 0.17,
                shape.belt - 0.10,
                _CHROME if vehicle.chrome else darker(vehicle.paint, 0.6),
                METAL if vehicle.chrome else PAINT,
            )
    crease = [(-shape.length / 2, shape.belt * 0.86), (shape.length / 2, shape.belt * 0.8)]
    side.line(crease, 0.02, darker(vehicle.paint, 0.8))
    if vehicle.body == "van":  # the rail of the sliding door
        side.line([(-shape.length / 2 + 0.25, shape.belt - 0.1), (house[2][0] * 0.2, shape.belt - 0.1)], 0.02, _SEAM)


def _paint_trim(side: _Side) -> None:
    shape, vehicle = side.shape, side.vehicle
    end, height = shape.length / 2, shape.height
    if vehicle.two_tone == "skirt":
        side.rectangle(-end, 0, end, 0.36 * height, vehicle.accent, PAINT)
    if vehicle.two_tone == "roof":
        side.rectangle(-end, 0.9 * height, end, height, vehicle.accent, PAINT)
    side.rectangle(-end, 0, end, 0.2 * height if vehicle.bare_bumpers else 0.165 * height, _PLASTIC, MATTE)
    if vehicle.bare_bumpers:
        (_, z1), (_, z8) = shape.keys[1], shape.keys[8]
        side.rectangle(shape.keys[1][0] - 0.1, 0, shape.keys[1][0] + 0.3, z1, _PLASTIC, MATTE)
        side.rectangle(end - 0.3, 0, end, z8, _PLASTIC, MATTE)
    if vehicle.stripe:
        low = shape.belt * 0.6
        side.polygon([(-end, low), (end, low - 0.08), (end, low + 0.02), (-end, low + 0.16)], vehicle.accent, PAINT)


def _paint_lamps(side: _Side) -> None:
    """The lamps of the ends, as far as they go round the corners."""
    keys, vehicle = side.shape.keys, side.vehicle
    if vehicle.body != "truck":
        low, high = keys[1][1], keys[2][1]
        spans = ((0.15, 1.0), (0.5, 0.95), (0.5, 0.74), (0.5, 1.0), (0.3, 0.95), (0.02, 0.42))
        bottom, top = (low + t * (high - low) for t in spans[vehicle.tail_style])
        rear = keys[1][0]
        side.polygon(
            [(rear, bottom), (rear + 0.12, bottom + 0.02), (rear + 0.2, top), (rear, top)],
            (150, 10, 16),
            TAIL_LAMP,
        )
    low, high = keys[8][1], keys[7][1]
    front, height = keys[8][0], high - low
    side.polygon(
        [(front, low + 0.5 * height), (front - 0.2, low + 0.8 * height), (front - 0.3, high), (front, high)],
        (214, 220, 226),
        HEAD_LAMP,
    )


def _paint_arches(side: _Side) -> None:
    shape, vehicle = side.shape, side.vehicle
    radius = shape.body.wheel_radius
    for x in shape.axles:
        if vehicle.body == "truck" and x < 0:
            continue
        turn = np.linspace(0, np.pi, 15)
        for reach, colour in (
            (1.3, _PLASTIC if vehicle.bare_bumpers else darker(vehicle.paint, 0.82)),
            (1.17, _ARCH),
        ):
            arc = [(x + reach * radius * np.cos(a), radius + reach * radius * np.sin(a)) for a in turn]
            side.polygon([(x + reach * radius, 0), *arc, (x - reach * radius, 0)], colour, MATTE)


def _paint_marks(side: _Side) -> None:
    vehicle, shape = side.vehicle, side.shape
    face = "left" if side.left else "right"
    for sticker in vehicle.stickers:
        if sticker.face == face:
            low, high = 0.28 * shape.height, shape.belt
            x = (sticker.x - 0.5) * 0.9 * shape.length
            draw_sticker(side.sheet, sticker, *side.to_sheet(x, low + sticker.y * (high - low)))
    lettering = is_panel_van(vehicle) or vehicle.body == "bus"
    if lettering:
        z = 0.62 * shape.height if vehicle.body == "van" else 0.34 * shape.height
        x, z = side.to_sheet(-0.18 * shape.length, z)
        side.sheet.text(vehicle.badge * 2, x, z, 0.3, vehicle.accent)
    generator = np.random.default_rng([vehicle.marks_seed, 3 + side.left])
    for _ in range(vehicle.dents):
        x = generator.uniform(-0.4, 0.4) * shape.length
        z = generator.uniform(0.3, 0.55) * shape.height
        side.sheet.ellipse(*side.to_sheet(x, z), 0.11, 0.05, darker(vehicle.paint, 0.6), PAINT)
        side.sheet.ellipse(*side.to_sheet(x, z + 0.025), 0.08, 0.02, darker(vehicle.paint, 1.04), PAINT)
