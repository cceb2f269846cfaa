"""Mirrors, racks, spoilers, signs, hooks: what stands out from a body."""

from __future__ import annotations

import numpy as np

from demo.vehicle.design.atlas import MATTE, METAL, PAINT, Atlas, Sheet
from demo.vehicle.design.bodies import Shape
from demo.vehicle.design.skin import darker
from demo.vehicle.design.vehicle import Vehicle
from demo.vehicle.mesh import Mesh, box, wheel

_RUBBER, _PLASTIC = (24, 24, 25), (38, 39, 41)
Point = tuple[float, float, float]


def fittings(vehicle: Vehicle, shape: Shape, atlas: Atlas) -> list[Mesh]:
    """The parts that one vehicle has and another has not."""
    meshes = _mirrors(vehicle, shape, atlas) + _roof(vehicle, shape, atlas)
    if vehicle.spoiler:
        meshes += _spoiler(vehicle, shape, atlas)
    if vehicle.spare_wheel:
        meshes.append(_spare_wheel(vehicle, shape, atlas))
    if vehicle.tow_hook:
        hook, x = atlas.swatch((150, 30, 28), MATTE), shape.keys[1][0]
        meshes.append(_bar((x - 0.16, -0.05, 0.30), (x + 0.05, 0.05, 0.38), hook, 0.2))
    return meshes


def _bar(low: Point, high: Point, uv: np.ndarray, bias: float = 0.1) -> Mesh:
    return box(low, high, {"": uv}, bias=bias)


def _mirrors(vehicle: Vehicle, shape: Shape, atlas: Atlas) -> list[Mesh]:
    (x5, _), (x6, _) = shape.keys[5], shape.keys[6]
    x, z = x6 - 0.3 * (x6 - x5), shape.belt + 0.05
    half = float(shape.half_width(np.array(z)))
    large = vehicle.body in ("truck", "bus")
    painted = vehicle.lamp_style % 2 == 1 and not large
    uv = atlas.swatch(vehicle.paint, PAINT) if painted else atlas.swatch(_PLASTIC, MATTE)
    top = z + (0.32 if large else 0.15)
    return [_bar((x - 0.06, low, z), (x + 0.06, low + 0.22, top), uv, 0.05) for low in (half - 0.02, -half - 0.2)]


def _roof(vehicle: Vehicle, shape: Shape, atlas: Atlas) -> list[Mesh]:
    """Rails and their load, a taxi's sign, a bus's air conditioning."""
    (x4, z4), (x5, z5) = shape.keys[4], shape.keys[5]
    middle, meshes = (x4 + x5) / 2, []
    if vehicle.roof_rack:
        rail = atlas.swatch((178, 180, 184) if vehicle.chrome else (30, 31, 32), METAL)
        for y in (0.3 * shape.width, -0.3 * shape.width):
            meshes.append(_bar((x4 + 0.15, y - 0.025, z4 + 0.01), (x5 - 0.15, y + 0.025, z4 + 0.1), rail))
        for x in (x4 + 0.4, x5 - 0.4):
            meshes.append(_bar((x, -0.55, z4 + 0.07), (x + 0.07, 0.55, z4 + 0.11), rail))
    if vehicle.roof_rack and vehicle.roof_load:
        case, half = atlas.swatch(vehicle.cargo_paint, PAINT), 0.42 * (x5 - x4)
        meshes.append(_bar((middle - half, -0.42, z4 + 0.11), (middle + half, 0.42, z4 + 0.42), case))
    if vehicle.taxi_sign:
        sign = Sheet(0.6, 0.16, 110, (240, 214, 60), MATTE)
        sign.text("TAXI", 0.3, 0.08, 0.11, (20, 20, 20))
        meshes.append(_bar((middle - 0.1, -0.3, z5), (middle + 0.1, 0.3, z5 + 0.17), atlas.add_sheet(sign)))
    if vehicle.body == "bus":
        unit = atlas.swatch((206, 208, 208), MATTE)
        meshes.append(_bar((-1.4, -0.75, z4), (1.2, 0.75, z4 + 0.26), unit, 0.5))
    return meshes


def _spoiler(vehicle: Vehicle, shape: Shape, atlas: Atlas) -> list[Mesh]:
    """A wing on the boot lid of a sedan, a lip at the end of other roofs."""
    paint = atlas.swatch(vehicle.paint, PAINT)
    if vehicle.body != "sedan":
        x, z = shape.keys[4]
        return [_bar((x - 0.18, -0.6, z - 0.01), (x + 0.1, 0.6, z + 0.05), paint)]
    x, z = shape.keys[2]
    feet = [_bar((x + 0.08, y, z), (x + 0.14, y + 0.05, z + 0.1), paint) for y in (-0.5, 0.45)]
    return [_bar((x + 0.02, -0.62, z + 0.08), (x + 0.2, 0.62, z + 0.12), paint), *feet]


def _spare_wheel(vehicle: Vehicle, shape: Shape, atlas: Atlas) -> Mesh:
    """A covered wheel on the tailgate: a wheel turned to face rearwards."""
    cover = Sheet(1.0, 1.0, 72, (22, 22, 23), MATTE)
    cover.ellipse(0.5, 0.5, 0.38, 0.38, darker(vehicle.paint, 0.95) if vehicle.chrome else (30, 30, 32), PAINT)
    cover.text(vehicle.badge[:2], 0.5, 0.5, 0.2, (206, 206, 206))
    upright = wheel((0.0, 0.0, 0.0), 0.33, 0.2, -1, atlas.add_sheet(cover), atlas.swatch(_RUBBER, MATTE))
    turn = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])  # right (-y) becomes rear (-x)
    place = np.array([shape.keys[1][0] - 0.14, -0.12, 0.57 * shape.height])
    return Mesh(
        upright.vertices @ turn.T + place,
        upright.normals @ turn.T,
        upright.uv,
        upright.triangles,
        np.full(len(upright.triangles), 0.1),
    )
