"""Sightings: repeatable, varied, and with a box that holds all of the plate and little else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from demo.renderer.camera import look_at
from demo.renderer.render import compose, plate_box, render, sample_view
from demo.renderer.shade import render_vehicle
from demo.vehicle.design.bodies import BODIES
from demo.vehicle.design.vehicle import Vehicle, sample_vehicle
from demo.vehicle.model import Model, assemble

SIZE = 160


def vehicle_of(body: str, seed: int = 0) -> Vehicle:
    """A vehicle of a body type."""
    return sample_vehicle(np.random.default_rng([seed, 1]), "v", set(), body)


def test_the_same_view_gives_the_same_pixels_and_another_gives_others() -> None:
    model = assemble(vehicle_of("sedan"))
    views = [sample_view(np.random.default_rng([2, k]), model, SIZE) for k in (0, 0, 1)]
    pictures = [render(model, view).image for view in views]
    assert np.array_equal(pictures[0], pictures[1])
    assert pictures[0].shape != pictures[2].shape or not np.array_equal(pictures[0], pictures[2])
    assert max(pictures[0].shape[:2]) == SIZE and pictures[0].dtype == np.uint8


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("azimuth", [0.0, 0.5, np.pi - 0.4])
def test_the_plate_changes_pixels_inside_its_box_only(body: str, azimuth: float) -> None:
    vehicle = replace(vehicle_of(body), tow_hook=False)
    with_plate, without = assemble(vehicle), assemble(vehicle, with_plate=False)
    view = sample_view(np.random.default_rng(4), with_plate, SIZE)
    camera = look_at(
        with_plate.mesh.vertices,
        azimuth=azimuth,
        elevation=0.25,
        roll=0.0,
        distance=3 * with_plate.size[0],
        margins=np.full(4, 0.05),
        size=SIZE,
    )
    view = replace(view, camera=camera)
    changed = np.abs(compose(with_plate, view) - compose(without, view)).max(-1) > 1e-4
    box = plate_box(with_plate, camera)
    assert box is not None
    x1, y1, x2, y2 = box
    assert 0 <= x1 < x2 <= camera.width and 0 <= y1 < y2 <= camera.height
    assert changed.sum() > 20
    inside = np.zeros_like(changed)
    inside[y1:y2, x1:x2] = True
    assert not (changed & ~inside).any()
    rows, columns = np.nonzero(changed)
    # Tight: a pixel for soft edges and two for what bumpers may hide.
    assert rows.min() <= y1 + 3 and rows.max() >= y2 - 4
    assert columns.min() <= x1 + 3 and columns.max() >= x2 - 4


def test_from_the_side_no_plate_shows() -> None:
    model = assemble(vehicle_of("suv"))
    camera = look_at(
        model.mesh.vertices,
        azimuth=np.pi / 2,
        elevation=0.2,
        roll=0.0,
        distance=40.0,
        margins=np.zeros(4),
        size=SIZE,
    )
    assert plate_box(model, camera) is None


@pytest.mark.parametrize("body", BODIES)
def test_a_vehicle_fills_its_picture(body: str) -> None:
    model: Model = assemble(vehicle_of(body, seed=5))
    view = sample_view(np.random.default_rng(1), model, SIZE)
    layer = render_vehicle(model, view.camera, view.light, braking=False, supersample=2)
    coverage = layer[..., 3]
    assert coverage.min() >= 0 and coverage.max() == pytest.approx(1)
    assert 0.2 < coverage.mean() < 0.95
    assert np.isfinite(layer).all() and (layer[..., :3][coverage == 0] == 0).all()


def test_brake_lamps_make_the_rear_redder() -> None:
    model = assemble(vehicle_of("hatchback"))
    camera = look_at(
        model.mesh.vertices,
        azimuth=0.0,
        elevation=0.2,
        roll=0.0,
        distance=15.0,
        margins=np.zeros(4),
        size=SIZE,
    )
    light = replace(sample_view(np.random.default_rng(1), model, SIZE).light, lamps_on=False)
    off, on = (render_vehicle(model, camera, light, braking, 2)[..., :3].sum((0, 1)) for braking in (False, True))
    assert on[0] > 1.02 * off[0] and on[0] - off[0] > 5 * (on[2] - off[2])
