"""The light of a sighting: sun or street lamp, sky, and what glossy surfaces mirror."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

HOURS = ("day", "overcast", "dusk", "night")


@dataclass(frozen=True)
class Light:
    """Linear RGB intensities. `to_sun` (3,) is the unit direction towards the strongest lamp; `sky_map` (64,
    64, 3) what a mirror sees overhead, as a paraboloid: the middle is the zenith, the rim the horizon."""

    hour: str
    to_sun: np.ndarray
    sun: np.ndarray
    sky: np.ndarray
    ground: np.ndarray
    sky_map: np.ndarray
    lamps_on: bool


# Sun, sky and ground light of each hour.
_LIGHTS: dict[str, tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]] = {
    "day": ((0.95, 0.90, 0.80), (0.42, 0.48, 0.56), (0.16, 0.155, 0.15)),
    "overcast": ((0.10, 0.10, 0.10), (0.72, 0.74, 0.77), (0.20, 0.20, 0.20)),
    "dusk": ((0.52, 0.36, 0.22), (0.26, 0.26, 0.32), (0.08, 0.075, 0.08)),
    "night": ((0.30, 0.24, 0.16), (0.060, 0.064, 0.080), (0.030, 0.028, 0.026)),
}


def sample_light(generator: np.random.Generator, hour: str, to_camera: np.ndarray) -> Light:
    """A light of an hour in `HOURS`. At night half of the cameras flash: then the lamp stands at `to_camera`
    (3,).
    """
    sun, sky, ground = (np.array(value) for value in _LIGHTS[hour])
    turn = generator.uniform(0, 2 * np.pi)
    low, high = {"day": (0.5, 1.2), "overcast": (0.8, 1.4), "dusk": (0.2, 0.5), "night": (0.7, 1.3)}[hour]
    lift = generator.uniform(low, high)
    to_sun = np.array([np.cos(lift) * np.cos(turn), np.cos(lift) * np.sin(turn), np.sin(lift)])
    if hour == "night" and generator.random() < 0.5:
        to_sun = to_camera + np.array([0.0, 0.0, 0.15])
        to_sun /= np.linalg.norm(to_sun)
        sun = np.array([0.42, 0.43, 0.46])
    gain = generator.uniform(0.8, 1.2)
    tint = 1 + generator.normal(0, 0.025, 3)
    lamps = hour == "night" or (hour == "dusk" and generator.random() < 0.7) or generator.random() < 0.08
    light_sky = sky * gain * tint
    return Light(
        hour,
        to_sun,
        sun * gain * tint,
        light_sky,
        ground * gain,
        _sky_map(generator, light_sky, hour),
        bool(lamps),
    )


def _sky_map(generator: np.random.Generator, sky: np.ndarray, hour: str) -> np.ndarray:
    y, x = (np.mgrid[:64, :64] - 31.5) / 31.5
    rim = np.clip(np.hypot(x, y), 0, 1)
    clouds = cv2.resize(generator.random((6, 6)).astype(np.float32), (64, 64), interpolation=cv2.INTER_CUBIC)
    picture = sky * (1.5 + 0.9 * clouds + 0.6 * rim)[..., None]
    skyline = cv2.resize(generator.random((9, 9)).astype(np.float32), (64, 64), interpolation=cv2.INTER_NEAREST)
    built = rim > 0.70 + 0.25 * skyline
    picture[built] = sky * 0.35
    if hour == "night":
        for _ in range(5):
            spot = generator.uniform(-0.8, 0.8, 2)
            picture += np.exp(-((x - spot[0]) ** 2 + (y - spot[1]) ** 2) / 0.004)[..., None] * [1.6, 1.3, 0.8]
    return picture.astype(np.float32)
