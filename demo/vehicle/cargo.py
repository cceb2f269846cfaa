"""What trucks and pickups carry: boxes, tarpaulins, stake bodies, loads."""

from __future__ import annotations

import numpy as np

from demo.vehicle.design.atlas import MATTE, PAINT, TAIL_LAMP, Atlas, Sheet
from demo.vehicle.design.bodies import Shape
from demo.vehicle.design.skin import DENSITY, darker, draw_sticker
from demo.vehicle.design.vehicle import Vehicle
from demo.vehicle.mesh import Mesh, box


def cargo_meshes(vehicle: Vehicle, shape: Shape, atlas: Atlas) -> list[Mesh]:
    """The parts that stand on the frame of a truck or in the bed of a pickup; empty for other bodies."""
    if vehicle.body == "truck":
        return _truck(vehicle, shape, atlas)
    if vehicle.body == "pickup" and vehicle.cargo in ("canopy", "load"):
        return [_pickup_load(vehicle, shape, atlas)]
    return []


def _pickup_load(vehicle: Vehicle, shape: Shape, atlas: Atlas) -> Mesh:
    (x2, z2), (x3, _), (_, z4) = shape.keys[2], shape.keys[3], shape.keys[4]
    if vehicle.cargo == "canopy":
        sheet = Sheet(1.6, z4 - z2, DENSITY, vehicle.paint, PAINT)
        sheet.rectangle(0.14, 0.1, 1.46, z4 - z2 - 0.1, (24, 25, 27), MATTE)
        uv, half = atlas.add_sheet(sheet), 0.39 * shape.width
        roof = atlas.swatch(vehicle.paint, PAINT)
        return box((x2 + 0.08, -half, z2), (x3 + 0.1, half, z4 - 0.02), {"": uv, "top": roof})
    crates = atlas.swatch(vehicle.cargo_paint, MATTE)
    return box((x2 + 0.3, -0.55, z2 - 0.05), (x3 - 0.2, 0.5, z2 + 0.4), {"": crates})


def _truck(vehicle: Vehicle, shape: Shape, atlas: Atlas) -> list[Mesh]:
    rear, front = -shape.length / 2 + 0.03, shape.keys[0][0] - 0.06
    low, high = 0.92, 1.28 * shape.height
    half = shape.width / 2 + 0.02
    if vehicle.cargo == "stake":
        high = 0.92 + 0.75
    length, height = front - rear, high - low
    paint = vehicle.cargo_paint
    sides = [_truck_side(vehicle, length, height, index) for index in range(2)]
    uv = {
        "": atlas.swatch(darker(paint, 0.8), MATTE),
        "top": atlas.swatch(paint if vehicle.cargo != "stake" else (70, 62, 52), MATTE),
        "left": atlas.add_sheet(sides[0]),
        "right": atlas.add_sheet(sides[1]),
        "rear": atlas.add_sheet(_truck_rear(vehicle, 2 * half, height)),
    }
    frame = Sheet(2 * half, 0.4, DENSITY, (26, 26, 28), MATTE)
    for x in (0.12, 2 * half - 0.42):
        frame.rectangle(x, 0.14, x + 0.3, 0.26, (150, 10, 16), TAIL_LAMP)
    frame.rectangle(0.0, 0.0, 2 * half, 0.07, (190, 36, 30), MATTE)
    for x in np.arange(0.1, 2 * half, 0.4):
        frame.rectangle(x, 0.0, x + 0.2, 0.07, (226, 226, 222), MATTE)
    dark = atlas.swatch((30, 31, 33), MATTE)
    return [
        box((rear, -half, low), (front, half, high), uv, 0.5),
        box(
            (rear + 0.02, -half + 0.1, 0.5),
            (rear + 0.2, half - 0.1, low),
            {"": dark, "rear": atlas.add_sheet(frame)},
            0.4,
        ),
        box((rear + 0.2, -0.45, 0.55), (front + 0.3, 0.45, low), {"": dark}, 0.5, -0.2),
    ]


def _truck_side(vehicle: Vehicle, length: float, height: float, index: int) -> Sheet:
    paint = vehicle.cargo_paint
    sheet = Sheet(length, height, DENSITY, paint, PAINT)
    generator = np.random.default_rng([vehicle.marks_seed, 10 + index])
    if vehicle.cargo == "tarpaulin":
        for x in np.linspace(0.1, length - 0.1, 9):
            sheet.line([(x, 0), (x + generator.normal(0, 0.05), height)], 0.05, darker(paint, 0.72))
            sheet.line([(x + 0.2, 0), (x + 0.2, height)], 0.06, darker(paint, 1.06))
        sheet.rectangle(0, 0, length, 0.42, darker(paint, 0.55), MATTE)
    else:
        for x in np.arange(0.12, length, 0.24):
            sheet.line([(x, 0), (x, height)], 0.02, darker(paint, 0.85))
    if vehicle.cargo == "stake":
        for z in (0.28, 0.52):
            sheet.rectangle(0, z, length, z + 0.05, (24, 24, 25), MATTE)
    else:
        sheet.text(vehicle.badge * 2, length * 0.5, height * 0.62, 0.42, vehicle.accent)
    if vehicle.stripe:
        sheet.rectangle(0, height * 0.24, length, height * 0.36, vehicle.accent, PAINT)
    for sticker in vehicle.stickers:
        if sticker.face == ("left", "right")[index]:
            draw_sticker(sheet, sticker, sticker.x * length, sticker.y * height)
    for x in np.arange(0.1, length, 0.5):
        sheet.rectangle(x, 0.02, x + 0.25, 0.07, (196, 60, 48), MATTE)
    sheet.shade(1 - (0.1 + 0.3 * vehicle.dirt) * generator.random((6, 9)) ** 2)
    return sheet


def _truck_rear(vehicle: Vehicle, width: float, height: float) -> Sheet:
    paint = vehicle.cargo_paint
    sheet = Sheet(width, height, DENSITY, paint, PAINT)
    generator = np.random.default_rng([vehicle.marks_seed, 12])
    sheet.line([(width / 2, 0), (width / 2, height)], 0.03, darker(paint, 0.3))
    sheet.line(
        [
            (0.04, 0.04),
            (width - 0.04, 0.04),
            (width - 0.04, height - 0.04),
            (0.04, height - 0.04),
            (0.04, 0.04),
        ],
        0.05,
        darker(paint, 0.6),
    )
    if vehicle.cargo == "tarpaulin":
        for z in np.linspace(0.3, height - 0.2, 4):
            sheet.line([(0, z), (width, z + generator.normal(0, 0.05))], 0.05, darker(paint, 0.7))
    else:
        for x in (width * 0.28, width * 0.42, width * 0.58, width * 0.72):
            sheet.line([(x, 0.05), (x, height - 0.05)], 0.035, (112, 114, 116))
        for z in (0.25, height - 0.25):
            for x in (0.07, width - 0.07):
                sheet.rectangle(x - 0.05, z - 0.04, x + 0.05, z + 0.04, (40, 40, 42), MATTE)
    for sticker in vehicle.stickers:
        if sticker.face == "rear":
            draw_sticker(sheet, sticker, (0.1 + 0.8 * sticker.x) * width, (0.1 + 0.8 * sticker.y) * height)
    for x in np.arange(0.08, width - 0.2, 0.46):
        sheet.rectangle(x, 0.06, x + 0.23, 0.11, (196, 60, 48), MATTE)
        sheet.rectangle(x + 0.23, 0.06, x + 0.46, 0.11, (228, 228, 224), MATTE)
    sheet.shade(1 - (0.1 + 0.3 * vehicle.dirt) * generator.random((6, 6)) ** 2)
    return sheet
