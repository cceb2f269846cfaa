"""Rasterising: attributes at a pixel against the ray that goes through it."""

from __future__ import annotations

import numpy as np

from demo.renderer.camera import look_at
from demo.renderer.raster import rasterise
from demo.vehicle.mesh import join, panel

UV = np.array([[0.0, 80.0], [60.0, 80.0], [60.0, 0.0], [0.0, 0.0]])
WALL = np.array([[0.0, 1.5, 0.2], [0.0, -1.5, 0.2], [0.6, -1.5, 2.0], [0.6, 1.5, 2.0]])  # leans; seen from behind


def test_attributes_equal_the_intersection_of_ray_and_plane() -> None:
    camera = look_at(WALL, azimuth=0.5, elevation=0.3, roll=0.02, distance=5.0, margins=np.full(4, 0.1), size=120)
    fragments = rasterise(panel(WALL, UV, (4, 3)), camera)
    normal = np.cross(WALL[1] - WALL[0], WALL[3] - WALL[0])
    normal /= np.linalg.norm(normal)
    assert len(fragments.rows) > 2000
    assert np.allclose(fragments.normal, normal[:, None], atol=1e-5)
    rays = camera.rays().astype(float)
    worst = 0.0
    for k in range(0, len(fragments.rows), 37):
        ray = rays[fragments.rows[k], fragments.columns[k]]
        reach = normal @ (WALL[0] - camera.position) / (normal @ ray)
        point = camera.position + reach * ray
        across = (1.5 - point[1]) / 3 * 60
        up = 80 * (1 - (point[2] - 0.2) / 1.8)
        worst = max(worst, abs(fragments.height[k] - point[2]) / 1.8)
        worst = max(worst, abs(fragments.uv[0, k] - across) / 60, abs(fragments.uv[1, k] - up) / 80)
    assert worst < 0.02  # only pixels at the very edge, which are clamped to it, differ at all


def test_the_nearer_surface_is_seen_whatever_the_order_of_parts() -> None:
    near = panel(WALL, np.zeros((4, 2)), (4, 3))
    far = panel(WALL + np.array([2.0, 0.0, 0.0]), np.full((4, 2), 9.0), (4, 3))
    camera = look_at(WALL, azimuth=0.0, elevation=0.1, roll=0.0, distance=6.0, margins=np.full(4, 0.0), size=80)
    for order in ([near, far], [far, near]):
        fragments = rasterise(join(order), camera)
        middle = (np.abs(fragments.rows - camera.height / 2) < 8) & (np.abs(fragments.columns - 40) < 20)
        assert middle.any() and (fragments.uv[:, middle] == 0).all()


def test_a_surface_seen_from_its_back_is_not_drawn() -> None:
    camera = look_at(WALL, azimuth=np.pi, elevation=0.1, roll=0.0, distance=6.0, margins=np.zeros(4), size=60)
    assert len(rasterise(panel(WALL, UV), camera).rows) == 0
