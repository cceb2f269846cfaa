"""Triangle meshes, and the few shapes that vehicles are put together from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Mesh:
    """vertices, normals (V, 3) metres and unit; uv (V, 2) pixels of an atlas; triangles (T, 3) vertex
    indices, counter-clockwise seen from outside; bias (T,) metres by which a triangle is drawn as if it were
    nearer."""

    vertices: np.ndarray
    normals: np.ndarray
    uv: np.ndarray
    triangles: np.ndarray
    bias: np.ndarray


def join(meshes: list[Mesh]) -> Mesh:
    """One mesh of many."""
    offsets = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes[:-1]])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.normals for mesh in meshes]),
        np.concatenate([mesh.uv for mesh in meshes]),
        np.concatenate([mesh.triangles + offset for mesh, offset in zip(meshes, offsets, strict=True)]),
        np.concatenate([mesh.bias for mesh in meshes]),
    )


def grid(points: np.ndarray, uv: np.ndarray, bias: float = 0.0) -> Mesh:
    """A smooth surface through points (rows, columns, 3) with uv (rows, columns, 2).

    Its outside is the side from which rows x columns turn counter-clockwise.
    """
    rows, columns = points.shape[:2]
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = (
        index[:-1, :-1].ravel(),
        index[1:, :-1].ravel(),
        index[1:, 1:].ravel(),
        index[:-1, 1:].ravel(),
    )
    triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    vertices = points.reshape(-1, 3).astype(np.float64)
    corners = vertices[triangles]
    faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    solid = np.einsum("ij,ij->i", faces, faces) > 1e-14
    triangles, faces = triangles[solid], faces[solid]
    normals = np.stack(
        [sum(np.bincount(triangles[:, k], faces[:, axis], len(vertices)) for k in range(3)) for axis in range(3)],
        axis=1,
    )
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return Mesh(vertices, normals, uv.reshape(-1, 2).astype(np.float64), triangles, np.full(len(triangles), bias))


def panel(corners: np.ndarray, uv: np.ndarray, cells: tuple[int, int] = (1, 1), bias: float = 0.0) -> Mesh:
    """A flat quadrilateral: corners (4, 3) counter-clockwise from outside, uv (4, 2), parted into cells.

    Parts matter to a painter's algorithm: it sorts triangles by their middle, so none may be large.
    """
    s, t = np.linspace(0, 1, cells[0] + 1)[:, None, None], np.linspace(0, 1, cells[1] + 1)[None, :, None]

    def blend(corner: np.ndarray) -> np.ndarray:
        return (1 - s) * (1 - t) * corner[0] + s * (1 - t) * corner[1] + s * t * corner[2] + (1 - s) * t * corner[3]

    return grid(blend(np.asarray(corners, float)), blend(np.asarray(uv, float)), bias)


# Corners of each face (bit 0 of a number: x, bit 1: y, bit 2: z), from its lower left seen from outside.
_BOX_FACES = {
    "front": (1, 3, 7, 5),
    "rear": (2, 0, 4, 6),
    "left": (3, 2, 6, 7),
    "right": (0, 1, 5, 4),
    "top": (6, 4, 5, 7),
    "bottom": (0, 2, 3, 1),
}


def box(
    low: tuple[float, float, float],
    high: tuple[float, float, float],
    uv: dict[str, np.ndarray],
    cell: float = 0.5,
    bias: float = 0.0,
) -> Mesh:
    """An upright box; `uv` gives the atlas corners (4, 2) of each face by name, "" of the faces not named."""
    corner = np.array([[(high if i >> k & 1 else low)[k] for k in range(3)] for i in range(8)])
    parts = []
    for name, index in _BOX_FACES.items():
        quad = corner[list(index)]
        sides = np.linalg.norm(quad[1] - quad[0]), np.linalg.norm(quad[2] - quad[1])
        cells = max(1, round(sides[0] / cell)), max(1, round(sides[1] / cell))
        parts.append(panel(quad, uv.get(name, uv.get("")), cells, bias))  # type: ignore[arg-type]
    return join(parts)


def wheel(
    centre: tuple[float, float, float],
    radius: float,
    width: float,
    side: int,
    rim_uv: np.ndarray,
    tread_uv: np.ndarray,
) -> Mesh:
    """A wheel whose outer face looks to `side` (+1 left, -1 right); `rim_uv` and `tread_uv` are atlas corners
    (4, 2).
    """
    sectors = 22
    angle = np.linspace(0, 2 * np.pi, sectors + 1)
    x, z = np.cos(angle), np.sin(angle)
    rings = np.array([0.0, 0.3, 0.62, 0.93, 1.0])
    dish = np.array([-0.02, -0.03, -0.035, 0.0, -0.03]) * side
    shape = (len(rings), sectors + 1)
    face = np.empty((*shape, 3))
    face[..., 0] = centre[0] + radius * rings[:, None] * x
    face[..., 1] = centre[1] + dish[:, None]
    face[..., 2] = centre[2] + radius * rings[:, None] * z
    low, high = rim_uv.min(0), rim_uv.max(0)
    uv = np.stack([rings[:, None] * x, -rings[:, None] * z], -1) * (high - low) / 2 + (low + high) / 2
    tread = np.empty((2, sectors + 1, 3))
    tread[..., 0] = centre[0] + radius * x
    tread[0, :, 1], tread[1, :, 1] = centre[1] - 0.03 * side, centre[1] - width * side
    tread[..., 2] = centre[2] + radius * z
    flat = np.broadcast_to(tread_uv.mean(0), (2, sectors + 1, 2))
    # Faces outside: the order of rows decides, and it turns with the side. The outer face stands in an arch
    # that is painted on the body, hence the bias.
    order = slice(None, None, -1) if side > 0 else slice(None)
    return join(
        [
            grid(face[:, order], uv[:, order], 0.35),
            grid(tread[:, order], flat[:, order], 0.0),
        ]
    )
