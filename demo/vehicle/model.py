"""A vehicle put together: body, wheels, cargo, fittings and plates as one mesh with one atlas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from demo.vehicle.cargo import cargo_meshes
from demo.vehicle.design.atlas import MATTE, METAL, PLATE, Atlas, Sheet
from demo.vehicle.design.bodies import Shape, shape_body
from demo.vehicle.design.plate import PLATE_HEIGHT_M, draw_plate
from demo.vehicle.design.skin import darker, paint_strip
from demo.vehicle.design.skin_side import paint_side
from demo.vehicle.design.vehicle import Vehicle
from demo.vehicle.fittings import fittings
from demo.vehicle.loft import loft, stations
from demo.vehicle.mesh import Mesh, box, join, panel, wheel

_RUBBER, _PLASTIC = (24, 24, 25), (38, 39, 41)


@dataclass(frozen=True)
class Model:
    """What a sighting needs: the mesh, its atlas (`rgb` uint8 (H, W, 3), `material` uint8 (H, W)), the
    corners of the two plates (4, 3) and the places of the lamps (n, 3), all in metres."""

    mesh: Mesh
    rgb: np.ndarray
    material: np.ndarray
    plates: dict[str, np.ndarray]
    head_lamps: np.ndarray
    tail_lamps: np.ndarray
    size: tuple[float, float, float]


def assemble(vehicle: Vehicle, with_plate: bool = True) -> Model:
    """Builds a vehicle. Without its plate the places of the plates stay bare metal."""
    shape = shape_body(vehicle.body, *vehicle.scale, np.array(vehicle.stretch))
    atlas = Atlas()
    body = loft(
        shape,
        atlas.add_sheet(paint_strip(vehicle, shape)),
        atlas.add_sheet(paint_side(vehicle, shape, left=True)),
        atlas.add_sheet(paint_side(vehicle, shape, left=False)),
    )
    parts = [body, *_wheels(vehicle, shape, atlas), *fittings(vehicle, shape, atlas)]
    parts += cargo_meshes(vehicle, shape, atlas)
    face = draw_plate(vehicle.plate) if with_plate else np.full((8, 8, 3), 150, np.uint8)
    plate_uv = atlas.add(face, np.full(face.shape[:2], PLATE, np.uint8))
    plates = _plate_corners(vehicle, shape)
    parts += [panel(corners, plate_uv, (6, 2), 0.12) for corners in plates.values()]
    rgb, material = atlas.build()
    mesh = join(parts)
    size = tuple(float(extent) for extent in np.ptp(mesh.vertices, axis=0))
    head, tail = _lamps(vehicle, shape)
    return Model(mesh, rgb, material, plates, head, tail, size)  # type: ignore[arg-type]


def _wheels(vehicle: Vehicle, shape: Shape, atlas: Atlas) -> list[Mesh]:
    radius = shape.body.wheel_radius
    rim, tread = atlas.add_sheet(_rim(vehicle)), atlas.swatch(_RUBBER, MATTE)
    meshes = []
    for x in shape.axles:
        for side in (1, -1):
            y = side * (float(shape.half_width(np.array(radius))) + 0.005)
            meshes.append(wheel((x, y, radius), radius, 0.24 if radius < 0.4 else 0.45, side, rim, tread))
    dark = atlas.swatch((10, 10, 11), MATTE)
    rear, front = shape.keys[0][0], shape.keys[9][0]
    if vehicle.body == "truck":
        rear = -shape.length / 2 + 0.1
    low, high = 0.55 * radius, 0.2 * shape.height
    half = shape.width / 2 - 0.3
    meshes.append(box((rear + 0.15, -half, low), (front - 0.2, half, high), {"": dark}, bias=-0.2))
    return meshes


def _rim(vehicle: Vehicle) -> Sheet:
    """A wheel seen from outside; six designs."""
    sheet = Sheet(1.0, 1.0, 72, _RUBBER, MATTE)
    lorry = vehicle.body in ("truck", "bus")
    reach = 0.30 if lorry else 0.36
    steel = vehicle.rim_style == 0 or lorry
    colour = (120, 122, 124) if steel else vehicle.rim_paint
    sheet.ellipse(0.5, 0.5, reach, reach, colour if steel else darker(colour, 0.9), METAL)
    if steel:
        sheet.ellipse(0.5, 0.5, reach * 0.82, reach * 0.82, darker(colour, 0.75), METAL)
        for angle in np.arange(8) * np.pi / 4:
            sheet.ellipse(0.5 + 0.21 * np.cos(angle), 0.5 + 0.21 * np.sin(angle), 0.035, 0.035, (16, 16, 17), MATTE)
    else:
        sheet.ellipse(0.5, 0.5, reach * 0.9, reach * 0.9, (18, 18, 19), MATTE)
        spokes = (5, 5, 6, 8, 10, 12)[vehicle.rim_style]
        for k in range(spokes):
            angle = 2 * np.pi * k / spokes
            tip = 0.5 + reach * 0.92 * np.array([np.cos(angle), np.sin(angle)])
            sheet.line([(0.5, 0.5), tuple(tip)], 0.42 / spokes, colour, METAL)
    sheet.ellipse(0.5, 0.5, 0.07, 0.07, darker(colour, 0.7), METAL)
    return sheet


def _plate_corners(vehicle: Vehicle, shape: Shape) -> dict[str, np.ndarray]:
    """Corners of the rear and the front plate, counter-clockwise from the lower left as it is read."""
    half, height = vehicle.plate.width_m / 2, PLATE_HEIGHT_M
    line, _ = stations(shape)
    (_, z1), (_, z2) = shape.keys[1], shape.keys[2]
    on_gate = vehicle.body in ("sedan", "hatchback", "suv", "mpv", "van", "bus") and not vehicle.spare_wheel
    rear_z = z1 + (z2 - z1) * (0.22 + 0.2 * vehicle.plate_height) if on_gate else 0.62 * z1
    if vehicle.body == "truck":
        rear_z = 0.62
    front_z = max(0.30, 0.66 * shape.keys[8][1] + 0.1 * (vehicle.plate_height - 0.5))

    def surface(z: float, rear: bool) -> float:
        end = line[line[:, 0] < 0] if rear else line[line[:, 0] > 0]
        x = end[(end[:, 1] > z - 0.06) & (end[:, 1] < z + height + 0.06), 0]
        return float(x.min() if rear else x.max())

    rear_x = surface(rear_z, True) if vehicle.body != "truck" else -shape.length / 2
    rear_x, front_x = rear_x - 0.02, surface(front_z, False) + 0.02
    top_rear, top_front = rear_z + height, front_z + height
    return {
        "rear": np.array(
            [
                (rear_x, half, rear_z),
                (rear_x, -half, rear_z),
                (rear_x, -half, top_rear),
                (rear_x, half, top_rear),
            ]
        ),
        "front": np.array(
            [
                (front_x, -half, front_z),
                (front_x, half, front_z),
                (front_x, half, top_front),
                (front_x, -half, top_front),
            ]
        ),
    }


def _lamps(vehicle: Vehicle, shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    y = 0.38 * shape.width
    head_z = 0.6 * shape.keys[7][1] + 0.4 * shape.keys[8][1]
    tail_z = 0.45 * shape.keys[1][1] + 0.55 * shape.keys[2][1]
    rear = shape.keys[1][0] - 0.02
    if vehicle.body == "truck":
        rear, tail_z = -shape.length / 2, 0.7
    front = shape.keys[8][0]
    head = np.array([(front, y, head_z), (front, -y, head_z)])
    return head, np.array([(rear, y, tail_z), (rear, -y, tail_z)])
