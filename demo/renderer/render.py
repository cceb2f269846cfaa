"""One sighting of a vehicle: where from, in what light and weather, and the picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from demo.renderer.camera import Camera, look_at
from demo.renderer.light import Light, sample_light
from demo.renderer.scene import Scene, draw_scene, sample_scene
from demo.renderer.shade import render_vehicle
from demo.renderer.weather import Conditions, add_glare, add_occluder, add_weather, expose, sample_conditions
from demo.vehicle.model import Model

_SUPERSAMPLE = 2
_MIN_PLATE_COSINE = 0.08  # flatter than this a plate is an edge
_MIN_PLATE_PIXELS = 3.0


@dataclass(frozen=True)
class View:
    """All that is drawn by lot for one sighting. `viewpoint` is rear, front, left or right; `azimuth` in
    radians, 0 from behind; `seed` drives what is drawn during rendering (rain, leaves, noise)."""

    viewpoint: str
    azimuth: float
    elevation: float
    camera: Camera
    light: Light
    scene: Scene
    conditions: Conditions
    braking: bool
    seed: int


@dataclass(frozen=True)
class Sighting:
    """`image` uint8 (H, W, 3) RGB; `plate_box` x1, y1, x2, y2 in pixels, x2 and y2 exclusive, or None if no
    plate shows.
    """

    image: np.ndarray
    plate_box: tuple[int, int, int, int] | None


def sample_view(generator: np.random.Generator, model: Model, size: int) -> View:
    """Draws the circumstances of a sighting whose longer side has `size` pixels."""
    side = str(generator.choice(["rear", "front", "side"], p=[0.86, 0.09, 0.05]))
    spread = generator.uniform(0.03, 0.6) * generator.choice([-1, 1])
    azimuth = {"rear": 0.0, "front": np.pi, "side": float(generator.choice([-1, 1])) * np.pi / 2}[side]
    azimuth += spread * (0.5 if side == "side" else 1.0)
    elevation = float(generator.uniform(0.14, 0.42))
    distance = float(generator.uniform(2.2, 5.0)) * model.size[0]
    camera = look_at(
        model.mesh.vertices,
        azimuth=azimuth,
        elevation=elevation,
        roll=float(generator.normal(0, 0.03)),
        distance=distance,
        margins=generator.uniform(-0.03, 0.18, 4),
        size=size,
    )
    hour = str(generator.choice(["day", "overcast", "dusk", "night"], p=[0.46, 0.27, 0.13, 0.14]))
    weather = str(generator.choice(["clear", "rain", "fog", "snow"], p=[0.80, 0.10, 0.06, 0.04]))
    to_camera = camera.position / np.linalg.norm(camera.position)
    light = sample_light(generator, "overcast" if weather != "clear" and hour == "day" else hour, to_camera)
    scene = sample_scene(generator, wet=weather == "rain")
    conditions = sample_conditions(generator, weather, dark=hour == "night")
    braking = bool(generator.random() < 0.3)
    return View(
        _viewpoint(azimuth), float(azimuth), elevation, camera, light, scene, conditions, braking,
        int(generator.integers(2**31)),
    )  # fmt: skip


def _viewpoint(azimuth: float) -> str:
    turn = (np.degrees(azimuth) + 45) % 360
    return ("rear", "left", "front", "right")[int(turn // 90)]


def compose(model: Model, view: View) -> np.ndarray:
    """The light that reaches the lens on a clear path, float32 (H, W, 3) linear RGB."""
    vehicle = render_vehicle(model, view.camera, view.light, view.braking, _SUPERSAMPLE)
    picture = draw_scene(view.scene, view.camera, view.light, model)
    picture = picture * (1 - vehicle[..., 3:]) + vehicle[..., :3]
    metre = view.camera.focal / float(np.linalg.norm(view.camera.position))
    if view.light.lamps_on:
        strength = 0.9 if view.light.hour == "night" else 0.4
        picture = _halo(picture, model.head_lamps, 1.0, view, (strength, 0.95 * strength, 0.8 * strength), 0.16 * metre)
    if view.light.lamps_on or view.braking:
        picture = _halo(picture, model.tail_lamps, -1.0, view, (0.28, 0.015, 0.01), 0.1 * metre)
    return picture.astype(np.float32)


def _halo(
    picture: np.ndarray,
    lamps: np.ndarray,
    facing: float,
    view: View,
    colour: tuple[float, float, float],
    radius: float,
) -> np.ndarray:
    towards = view.camera.position - lamps
    ahead = facing * towards[:, 0] / np.linalg.norm(towards, axis=1)
    seen = lamps[ahead > 0.15]
    if not len(seen):
        return picture
    pixels, _ = view.camera.project(seen)
    return add_glare(picture, pixels, tuple(float(ahead.max()) * c for c in colour), radius)  # type: ignore[arg-type]


def render(model: Model, view: View) -> Sighting:
    """The finished picture of a sighting and where its plate is; the same model and view give the same
    pixels.
    """
    generator = np.random.default_rng(view.seed)
    picture = compose(model, view)
    picture = add_weather(picture, view.conditions.weather, generator)
    picture = add_occluder(picture, view.conditions.occluder, generator)
    return Sighting(expose(picture, view.conditions, generator), plate_box(model, view.camera))


def plate_box(model: Model, camera: Camera) -> tuple[int, int, int, int] | None:
    """The box of the plate that looks at the camera, grown by a pixel for soft edges and cut to the
    picture.
    """
    for corners in model.plates.values():
        outward = np.cross(corners[1] - corners[0], corners[3] - corners[0])
        towards = camera.position - corners.mean(0)
        cosine = outward @ towards / (np.linalg.norm(outward) * np.linalg.norm(towards))
        if cosine < _MIN_PLATE_COSINE:
            continue
        pixels, _ = camera.project(corners)
        low, high = np.floor(pixels.min(0)) - 1, np.ceil(pixels.max(0)) + 2
        low = np.maximum(low, 0)
        high = np.minimum(high, [camera.width, camera.height])
        if (high - low).min() >= _MIN_PLATE_PIXELS:
            return int(low[0]), int(low[1]), int(high[0]), int(high[1])
    return None


def encode_jpeg(image: np.ndarray, quality: int) -> bytes:
    """JPEG bytes of uint8 (H, W, 3) RGB."""
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise RuntimeError(f"OpenCV could not encode a picture of shape {image.shape}")
    return data.tobytes()
