"""Meshes: what is outside is outside, and shapes have the size that they are given."""

from __future__ import annotations

import numpy as np
import pytest

from demo.vehicle.design.bodies import BODIES, shape_body
from demo.vehicle.loft import loft
from demo.vehicle.mesh import Mesh, box, join, panel, wheel

UV = np.array([[0.0, 9.0], [9.0, 9.0], [9.0, 0.0], [0.0, 0.0]])


def faces(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """Middle and area vector of every triangle."""
    corners = mesh.vertices[mesh.triangles]
    return corners.mean(1), np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) / 2


def test_a_box_is_closed_looks_outwards_and_has_its_area_and_volume() -> None:
    middle, area = faces(box((0, 1, 2), (1, 3, 5), {"": UV}))
    assert np.abs(area.sum(0)).max() < 1e-12
    assert np.linalg.norm(area, axis=1).sum() == pytest.approx(2 * (1 * 2 + 2 * 3 + 3 * 1))
    assert (middle * area).sum() / 3 == pytest.approx(1 * 2 * 3)  # Gauss: positive only if normals point outwards


def test_a_panel_puts_each_corner_of_the_picture_at_its_corner() -> None:
    corners = np.array([[0, 0, 0], [2, 0, 0], [2, 0, 1], [0, 0, 1]], float)
    mesh = panel(corners, UV, (3, 2))
    for corner, uv in zip(corners, UV, strict=True):
        found = np.flatnonzero(np.abs(mesh.vertices - corner).max(1) < 1e-12)
        assert len(found) == 1 and np.allclose(mesh.uv[found[0]], uv)


@pytest.mark.parametrize("side", [1, -1])
def test_a_wheel_shows_its_rim_outwards_and_its_tread_around(side: int) -> None:
    middle, area = faces(wheel((0.0, 0.9 * side, 0.3), 0.3, 0.2, side, UV, UV))
    flat = np.abs(area[:, 1]) > np.hypot(area[:, 0], area[:, 2])
    assert (area[flat, 1] * side > 0).all()
    radial = (middle - [0, 0.9 * side, 0.3])[~flat]
    outer = np.hypot(radial[:, 0], radial[:, 2]) > 0.25
    assert ((radial * area[~flat])[:, [0, 2]].sum(1)[outer] > 0).all()


@pytest.mark.parametrize("body", BODIES)
def test_a_body_is_symmetric_looks_outwards_and_has_its_size(body: str) -> None:
    shape = shape_body(body, 1.0, 1.0, 1.0, np.zeros((10, 2)))
    mesh = loft(shape, UV, UV, UV)
    assert np.abs(np.linalg.norm(mesh.normals[np.unique(mesh.triangles)], axis=1) - 1).max() < 1e-9
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    assert high[1] - low[1] == pytest.approx(shape.width, rel=0.02)
    assert low[1] == pytest.approx(-high[1])
    assert high[2] == pytest.approx(shape.height, abs=0.12)
    middle, area = faces(mesh)
    sides = np.abs(area[:, 1]) > 0.9 * np.linalg.norm(area, axis=1)
    # Bumpers bulge: where the outline goes backwards, slivers fold over. They must stay slivers.
    folded = sides & (np.sign(area[:, 1]) != np.sign(middle[:, 1]))
    assert np.abs(area[folded, 1]).sum() < 0.005 * np.abs(area[sides, 1]).sum()
    roof = area[:, 2] > 0.9 * np.linalg.norm(area, axis=1)
    assert middle[roof, 2].max() > 0.9 * shape.height


def test_join_keeps_every_triangle_of_its_parts() -> None:
    parts = [box((0, 0, 0), (1, 1, 1), {"": UV}), box((5, 5, 5), (7, 6, 6), {"": UV}, bias=0.5)]
    joined = join(parts)
    expected = np.concatenate([part.vertices[part.triangles] for part in parts])
    assert np.array_equal(joined.vertices[joined.triangles], expected)
    assert set(joined.bias) == {0.0, 0.5}
