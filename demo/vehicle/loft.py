"""From the outline of a body to its surface: sections stand on the outline, with rounded shoulders."""

from __future__ import annotations

import numpy as np

from demo.vehicle.design.atlas import map_uv
from demo.vehicle.design.bodies import Shape
from demo.vehicle.mesh import Mesh, grid, join

_SHOULDER = 0.10  # radius between side and roof, metres
_CROWN = 0.03  # how much higher the middle of a roof is than its edges, metres


def stations(shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """The outline sampled and its corners rounded: (n, 2) x and z, and (n,) arc length on the unrounded
    outline.
    """
    ends = shape.panel_ends
    step = 0.13 if shape.length < 6 else 0.22
    counts = np.maximum(3, np.ceil(np.diff(ends) / step)).astype(int)
    arc = np.concatenate(
        [np.linspace(a, b, n, endpoint=False) for a, b, n in zip(ends, ends[1:], counts, strict=False)] + [ends[-1:]]
    )
    line = np.stack([np.interp(arc, ends, shape.keys[:, axis]) for axis in range(2)], 1)
    for _ in range(2):
        line[1:-1] = 0.25 * line[:-2] + 0.5 * line[1:-1] + 0.25 * line[2:]
    return line, arc


def loft(shape: Shape, strip: np.ndarray, left: np.ndarray, right: np.ndarray) -> Mesh:
    """The surface of a body; the three arguments are the atlas corners (4, 2) of its sheets."""
    line, arc = stations(shape)
    x, top = line[:, 0], line[:, 1]
    bottom = np.interp(x, shape.keys[[0, 9], 0], shape.keys[[0, 9], 1])
    shoulder = np.minimum(_SHOULDER, 0.5 * np.maximum(top - bottom, 0.02))
    edge = shape.half_width(top - shoulder)

    rise = np.linspace(0, 1, 7)
    z = bottom[:, None] + rise * (top - shoulder - bottom)[:, None]
    y = shape.half_width(z)
    along = np.broadcast_to(x[:, None], z.shape)
    outer = shape.taper(along, np.ones_like(z))
    span = shape.length
    right_uv = map_uv(right, along / span + 0.5, z / shape.height)
    left_uv = map_uv(left, 0.5 - along / span, z / shape.height)
    right_side = grid(np.stack([outer, -y, z], -1), right_uv)
    left_side = grid(np.stack([outer, y, z], -1)[:, ::-1], left_uv[:, ::-1])

    turn = np.linspace(0, np.pi / 2, 5)
    corner_y = edge[:, None] - shoulder[:, None] * (1 - np.cos(turn))
    corner_z = (top - shoulder)[:, None] + shoulder[:, None] * np.sin(turn)
    inner = np.linspace(1, 0, 6)[1:]
    inner_y = (edge - shoulder)[:, None] * inner
    inner_z = top[:, None] + _CROWN * (1 - inner**2) * np.ones_like(inner_y)
    half_y, half_z = np.concatenate([corner_y, inner_y], 1), np.concatenate([corner_z, inner_z], 1)
    full_y = np.concatenate([-half_y, half_y[:, -2::-1]], 1)
    full_z = np.concatenate([half_z, half_z[:, -2::-1]], 1)
    across = full_y / edge[:, None]
    full_x = shape.taper(np.broadcast_to(x[:, None], full_y.shape), across)
    strip_uv = map_uv(strip, (1 - across) / 2, np.broadcast_to((arc / arc[-1])[:, None], across.shape))
    roof = grid(np.stack([full_x, full_y, full_z], -1), strip_uv)
    return join([right_side, left_side, roof])
