"""What lies between vehicle and file: fog, rain, snow, things in front, glare, blur, noise, compression."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

_METERED = 0.23  # linear brightness that a camera aims at


@dataclass(frozen=True)
class Conditions:
    """Strengths: `blur` and `motion` in pixels, `shrink` the share of the resolution that is left, `noise`
    the standard deviation in [0, 1], `gain` and `cast` factors of brightness and of RGB, `quality` of the
    JPEG."""

    weather: str
    occluder: str
    blur: float
    motion: float
    motion_angle: float
    shrink: float
    noise: float
    gain: float
    cast: tuple[float, float, float]
    quality: int


def sample_conditions(generator: np.random.Generator, weather: str, dark: bool) -> Conditions:
    """Conditions drawn from the generator; in the dark there is more noise and blur."""
    cast = generator.normal(1, 0.03, 3)
    return Conditions(
        weather=weather,
        occluder=str(generator.choice(["", "pole", "leaves", "vehicle", "rail"], p=[0.80, 0.05, 0.05, 0.06, 0.04])),
        blur=float(generator.gamma(1.5, 0.28)),
        motion=float(generator.uniform(2, 8)) if generator.random() < (0.3 if dark else 0.14) else 0.0,
        motion_angle=float(generator.normal(0, 0.5)),
        shrink=float(generator.uniform(0.4, 1.0)),
        noise=float(generator.gamma(2.0, 0.009 if dark else 0.004)),
        gain=float(np.exp(generator.normal(0.3 if dark else 0.1, 0.2))),
        cast=(float(cast[0]), float(cast[1]), float(cast[2])),
        quality=int(generator.integers(35, 96)),
    )


def add_weather(picture: np.ndarray, weather: str, generator: np.random.Generator) -> np.ndarray:
    """Fog, rain or snow over a linear picture (H, W, 3); "clear" returns it as it is."""
    height, width = picture.shape[:2]
    if weather == "fog":
        veil = float(np.clip(picture.mean() * 1.5, 0.05, 0.5))
        depth = np.linspace(0.62, 0.3, height, dtype=np.float32)[:, None, None] * generator.uniform(0.5, 1.0)
        return picture * (1 - depth) + veil * depth
    if weather == "rain":
        drops = (generator.random((height, width)) < 0.012).astype(np.float32)
        streaks = cv2.filter2D(drops, -1, _line_kernel(13, np.pi / 2 + generator.normal(0, 0.2)))
        return picture * 0.92 + (streaks * float(picture.mean()) * 2.2)[..., None]
    if weather == "snow":
        flakes = (generator.random((height, width)) < 0.006).astype(np.float32)
        cover = (cv2.GaussianBlur(flakes, (0, 0), 0.8) * 4).clip(0, 0.8)
        return picture + cover[..., None] * (max(0.25, float(picture.mean()) * 2) - picture)
    return picture


def add_occluder(picture: np.ndarray, kind: str, generator: np.random.Generator) -> np.ndarray:
    """Something in front of the vehicle, out of focus: it hides up to about a fifth of the picture."""
    if not kind:
        return picture
    height, width = picture.shape[:2]
    mask = np.zeros((height, width), np.float32)
    brightness = float(picture.mean())
    colour = np.array([0.5, 0.5, 0.5]) * brightness
    if kind == "pole":
        x = int(generator.uniform(0.1, 0.9) * width)
        half = max(2, int(generator.uniform(0.015, 0.035) * width))
        cv2.line(mask, (x, 0), (x + int(generator.normal(0, 4)), height), 1.0, 2 * half)
        colour = np.array([0.8, 0.8, 0.82]) * brightness
    elif kind == "leaves":
        corner = generator.uniform([0, 0], [width, 0.15 * height])
        for _ in range(90):
            spot = np.round(corner + generator.normal(0, [0.16 * width, 0.13 * height])).astype(int)
            cv2.ellipse(mask, (int(spot[0]), int(spot[1])), (6, 3), float(generator.uniform(0, 180)), 0, 360, 1.0, -1)
        colour = np.array([0.28, 0.5, 0.16]) * brightness
    elif kind == "rail":
        y = int(generator.uniform(0.8, 0.95) * height)
        cv2.line(mask, (0, y), (width, y + int(generator.normal(0, 6))), 1.0, max(3, height // 28))
        colour = np.array([0.9, 0.9, 0.92]) * brightness
    else:
        left = generator.random() < 0.5
        edge = generator.uniform(0.05, 0.16) * width
        top = generator.uniform(0.35, 0.6) * height
        outline = np.array(
            [
                [-5, top],
                [edge * 0.7, top + 4],
                [edge, top + 0.2 * height],
                [edge, height + 5],
                [-5, height + 5],
            ]
        )
        if not left:
            outline[:, 0] = width - outline[:, 0]
        cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], 1.0)
        paints = ([1.6, 1.6, 1.6], [0.08, 0.08, 0.09], [0.5, 0.52, 0.55], [0.5, 0.05, 0.05])
        colour = np.array(paints[int(generator.integers(len(paints)))]) * brightness
    cover = cv2.GaussianBlur(mask, (0, 0), 1.2)[..., None]
    return picture * (1 - cover) + cover * colour.astype(np.float32)


def add_glare(picture: np.ndarray, lamps: np.ndarray, colour: tuple[float, float, float], radius: float) -> np.ndarray:
    """A halo of a radius in pixels around each lamp (n, 2)."""
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]].astype(np.float32)
    for lamp in lamps:
        squared = (x - lamp[0]) ** 2 + (y - lamp[1]) ** 2
        halo = 1 / (1 + squared / radius**2) ** 2
        picture = picture + halo[..., None] * np.array(colour, np.float32)
    return picture


def _line_kernel(length: int, angle: float) -> np.ndarray:
    kernel = np.zeros((length, length), np.float32)
    middle = (length - 1) / 2
    reach = np.array([np.cos(angle), np.sin(angle)]) * middle
    ends = np.round(np.array([middle - reach, middle + reach]) * 16).astype(int)
    cv2.line(kernel, (int(ends[0][0]), int(ends[0][1])), (int(ends[1][0]), int(ends[1][1])), 1.0, 1, cv2.LINE_8, 4)
    return kernel / kernel.sum()


def expose(picture: np.ndarray, conditions: Conditions, generator: np.random.Generator) -> np.ndarray:
    """From linear light (H, W, 3) to a file's pixels, uint8 (H, W, 3) RGB: optics, sensor, tone curve."""
    height, width = picture.shape[:2]
    # Exposure follows the scene, though not all the way: night stays darker than day.
    metered = (_METERED / max(float(picture.mean()), 1e-4)) ** 0.7
    picture = picture * (metered * conditions.gain * np.array(conditions.cast, np.float32))
    if conditions.motion:
        size = 2 * (int(conditions.motion) // 2) + 1
        picture = cv2.filter2D(picture, -1, _line_kernel(max(3, size), conditions.motion_angle))
    if conditions.blur > 0.3:
        picture = cv2.GaussianBlur(picture, (0, 0), conditions.blur)
    encoded = np.sqrt(np.clip(picture, 0, 1))
    if conditions.shrink < 0.95:
        small = max(8, round(width * conditions.shrink)), max(8, round(height * conditions.shrink))
        encoded = cv2.resize(encoded, small, interpolation=cv2.INTER_AREA)
    encoded = encoded + generator.normal(0, conditions.noise, encoded.shape).astype(np.float32)
    if encoded.shape[:2] != (height, width):
        encoded = cv2.resize(encoded, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.round(np.clip(encoded, 0, 1) * 255).astype(np.uint8)
