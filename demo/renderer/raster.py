"""Which surface every pixel shows: painter's algorithm over triangles, then exact attributes at each
pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from demo.renderer.camera import Camera
from demo.vehicle.mesh import Mesh

_SHIFT = 4  # bits of sub-pixel position that OpenCV is given


@dataclass(frozen=True)
class Fragments:
    """The n covered pixels of a picture, channels first: `rows`, `columns` (n,); `normal` float32 (3, n)
    unit; `uv` float32 (2, n) atlas pixels; `height` float32 (n,) metres above the ground."""

    rows: np.ndarray
    columns: np.ndarray
    normal: np.ndarray
    uv: np.ndarray
    height: np.ndarray


def rasterise(mesh: Mesh, camera: Camera) -> Fragments:
    """The visible pixels of a mesh; triangles that look away are dropped."""
    pixels, depth = camera.project(mesh.vertices)
    corners = mesh.vertices[mesh.triangles]
    outward = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    facing = np.einsum("ij,ij->i", outward, camera.position - corners[:, 0]) > 0
    screen = pixels[mesh.triangles]
    edge = screen[:, 1:] - screen[:, :1]
    area = edge[:, 0, 0] * edge[:, 1, 1] - edge[:, 0, 1] * edge[:, 1, 0]
    seen = np.flatnonzero(facing & (np.abs(area) > 0.05))
    distance = np.linalg.norm(corners[seen].mean(1) - camera.position, axis=1) - mesh.bias[seen]
    seen = seen[np.argsort(-distance, kind="stable")]

    nearest = np.zeros((camera.height, camera.width), np.int32)
    fixed = np.round(screen[seen] * (1 << _SHIFT)).astype(np.int32)
    for number, points in enumerate(fixed, start=1):
        cv2.fillConvexPoly(nearest, points, number, cv2.LINE_8, _SHIFT)

    covered = np.flatnonzero(nearest)
    triangle = np.take(nearest.ravel(), covered) - 1
    rows, columns = np.divmod(covered, camera.width)
    weights = _barycentric(screen[seen], depth[mesh.triangles[seen]], triangle, rows, columns)

    vertex = mesh.triangles[seen]
    table = np.concatenate([mesh.normals, mesh.uv, mesh.vertices[:, 2:]], 1).astype(np.float32).T
    values = np.zeros((len(table), len(covered)), np.float32)
    for k in range(3):
        per_triangle = table[:, vertex[:, k]]
        for channel, row in enumerate(per_triangle):
            values[channel] += np.take(row, triangle) * weights[k]
    normal = values[:3]
    normal /= np.sqrt(np.maximum((normal * normal).sum(0), 1e-12))
    return Fragments(rows, columns, normal, values[3:5], values[5])


def _barycentric(
    screen: np.ndarray, depth: np.ndarray, triangle: np.ndarray, rows: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """Weights float32 (3, n) of the corners of each pixel's triangle, right in perspective, not negative, sum
    1.
    """
    matrix = np.concatenate([screen, np.ones((len(screen), 3, 1))], 2).transpose(0, 2, 1)
    # The inverse turns (x, y, 1) into barycentric coordinates on the screen; divided by depth, they hold in
    # space.
    solve = (np.linalg.inv(matrix) / depth[:, :, None]).astype(np.float32)
    x, y = columns.astype(np.float32), rows.astype(np.float32)
    weights = np.empty((3, len(triangle)), np.float32)
    for k in range(3):
        slope_x, slope_y, start = (np.take(np.ascontiguousarray(solve[:, k, j]), triangle) for j in range(3))
        # A triangle also covers pixels at its edge whose middle lies outside: hence the bound.
        weights[k] = np.maximum(slope_x * x + slope_y * y + start, 0)
    weights /= np.maximum(weights.sum(0), 1e-12)
    return weights
