"""The camera: projection and rays undo each other, and a view holds what it was made for."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from demo.renderer.camera import Camera, look_at

BOX = np.array([[x, y, z] for x in (-2.3, 2.3) for y in (-0.9, 0.9) for z in (0.0, 1.5)])


def view(azimuth: float, elevation: float, roll: float = 0.0, margin: float = 0.1, size: int = 200) -> Camera:
    """A camera 12 m from a box of a car's size."""
    return look_at(
        BOX,
        azimuth=azimuth,
        elevation=elevation,
        roll=roll,
        distance=12.0,
        margins=np.full(4, margin),
        size=size,
    )


@settings(max_examples=40, deadline=None)
@given(st.floats(-3.2, 3.2), st.floats(0.05, 1.2), st.floats(-0.1, 0.1))
def test_the_box_is_in_the_picture_and_the_longer_side_is_as_asked(
    azimuth: float, elevation: float, roll: float
) -> None:
    camera = view(azimuth, elevation, roll)
    pixels, depth = camera.project(BOX)
    assert (depth > 0).all()
    assert (pixels >= -0.5).all() and (pixels <= [camera.width - 0.5, camera.height - 0.5]).all()
    assert max(camera.width, camera.height) == 200
    assert min(camera.width, camera.height) >= 0.69 * 200
    assert np.allclose(camera.axes @ camera.axes.T, np.eye(3), atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 99), st.integers(0, 99), st.floats(1, 50))
def test_a_point_on_the_ray_of_a_pixel_projects_to_that_pixel(column: int, row: int, depth: float) -> None:
    camera = view(0.7, 0.3)
    point = camera.position + depth * camera.rays()[row, column]
    pixel, found = camera.project(point[None])
    assert np.allclose(pixel[0], [column, row], atol=1e-2)
    assert np.isclose(found[0], depth, rtol=1e-4)


def test_from_behind_the_left_side_is_on_the_left_and_up_is_up() -> None:
    pixels, _ = view(0.0, 0.2).project(np.array([[0, 0.9, 0.5], [0, -0.9, 0.5], [0, 0, 1.5], [0, 0, 0.0]]))
    assert pixels[0, 0] < pixels[1, 0]
    assert pixels[2, 1] < pixels[3, 1]


def test_an_enlarged_camera_sees_the_same_at_more_pixels() -> None:
    camera = view(1.0, 0.3)
    coarse, _ = camera.project(BOX)
    fine, _ = camera.enlarged(2).project(BOX)
    assert np.allclose((fine + 0.5) / 2, coarse + 0.5)
