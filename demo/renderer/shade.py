"""How much light the visible surface sends to the camera: Lambert, a clear coat by Schlick, lamps that
shine.
"""

from __future__ import annotations

import cv2
import numpy as np

from demo.renderer.camera import Camera
from demo.renderer.light import Light
from demo.renderer.raster import Fragments, rasterise
from demo.vehicle.design.atlas import HEAD_LAMP, PLATE, TAIL_LAMP
from demo.vehicle.model import Model

# By material, in the order of `atlas`: reflectance at normal incidence, share of diffuse light, sharpness of
# highlights.
_F0 = np.array([0.004, 0.045, 0.07, 0.40, 0.05, 0.08, 0.01], np.float32)
_DIFFUSE = np.array([1.0, 0.95, 0.8, 0.6, 1.0, 0.9, 1.0], np.float32)
_HIGHLIGHT = np.array([0.0, 0.25, 0.8, 0.7, 0.5, 0.6, 0.1], np.float32)
_GRAZING = (1 - _F0) * np.minimum(1, 14 * _F0)  # what Schlick's term adds; rough surfaces hardly mirror at any angle


def render_vehicle(model: Model, camera: Camera, light: Light, braking: bool, supersample: int) -> np.ndarray:
    """The vehicle alone, float32 (H, W, 4): linear RGB times coverage, and coverage in [0, 1]."""
    fine = camera.enlarged(supersample)
    fragments = rasterise(model.mesh, fine)
    albedo = _sample(model.rgb, fragments.uv, cv2.INTER_LINEAR).T * np.float32(1 / 255)
    albedo *= albedo  # the atlas is encoded with a gamma of 2
    material = _sample(model.material, fragments.uv, cv2.INTER_NEAREST)

    colour = _reflected(albedo, material, fragments, _rays(fragments, fine), light)
    tail = np.flatnonzero(material == TAIL_LAMP)
    if braking:
        colour[:, tail] += np.array([[1.1], [0.05], [0.03]], np.float32)
    elif light.lamps_on:
        colour[:, tail] += np.array([[0.42], [0.015], [0.01]], np.float32)
    if light.lamps_on:
        colour[:, material == HEAD_LAMP] += np.array([[1.5], [1.45], [1.3]], np.float32)
        plate = np.flatnonzero(material == PLATE)
        colour[:, plate] += 0.25 * albedo[:, plate]  # the lamp above a plate

    picture = np.zeros((fine.height * fine.width, 4), np.float32)
    covered = fragments.rows * fine.width + fragments.columns
    picture[covered, :3] = colour.T
    picture[covered, 3] = 1
    framed = picture.reshape(fine.height, fine.width, 4)
    return cv2.resize(framed, (camera.width, camera.height), interpolation=cv2.INTER_AREA)


def _rays(fragments: Fragments, camera: Camera) -> np.ndarray:
    """Unit directions float32 (3, n) from the camera to the fragments."""
    x = ((fragments.columns - camera.centre[0]) / camera.focal).astype(np.float32)
    y = ((fragments.rows - camera.centre[1]) / camera.focal).astype(np.float32)
    right, down, forward = camera.axes.astype(np.float32)
    length = np.sqrt(x * x + y * y + 1)
    x, y = x / length, y / length
    return np.stack([right[k] * x + down[k] * y + forward[k] / length for k in range(3)])


def _reflected(
    albedo: np.ndarray, material: np.ndarray, fragments: Fragments, ray: np.ndarray, light: Light
) -> np.ndarray:
    """Light float32 (3, n) that the fragments send back along the rays."""
    normal = fragments.normal
    cosine = np.clip(-(normal * ray).sum(0), 0.02, 1)
    mirrored = ray + 2 * cosine * normal
    sun, sky, ground = (value.astype(np.float32)[:, None] for value in (light.sun, light.sky, light.ground))
    to_sun = light.to_sun.astype(np.float32)
    lit = np.clip(to_sun @ normal, 0, 1)
    openness = np.clip(0.45 + 0.6 * fragments.height, 0, 1)  # little sky is seen from just above the ground
    up = (0.5 + 0.5 * normal[2]) * openness
    grazing = 1 - cosine
    squared = grazing * grazing
    base = _F0[material]
    fresnel = base + _GRAZING[material] * squared * squared * grazing
    glint = np.clip(to_sun @ mirrored, 0, 1) ** 180 * _HIGHLIGHT[material]
    colour = (sky - ground) * up
    colour += ground
    colour += sun * lit
    colour *= albedo * _DIFFUSE[material]
    colour += fresnel * _reflection(mirrored, light)
    colour += sun * glint
    return colour


def _sample(image: np.ndarray, uv: np.ndarray, interpolation: int) -> np.ndarray:
    """Pixels (n,) or (n, C) of an image at positions (2, n). OpenCV's remap takes at most 32767 a row: rows
    are folded.
    """
    count, side = uv.shape[1], 1024
    pad = -count % side
    u, v = (np.pad(axis, (0, pad)).reshape(-1, side) for axis in uv)
    sampled = cv2.remap(image, u, v, interpolation, borderMode=cv2.BORDER_REPLICATE)
    return sampled.reshape(count + pad, *image.shape[2:])[:count]


def _reflection(direction: np.ndarray, light: Light) -> np.ndarray:
    """What is seen in directions (3, n): the sky map above the horizon, the ground below it; float32 (3,
    n).
    """
    scale = 31.5 / (1 + np.abs(direction[2]))
    sky = _sample(light.sky_map, 31.5 + direction[:2] * scale, cv2.INTER_LINEAR).T
    above = np.clip(direction[2] * 8 + 0.5, 0, 1)
    road = 0.22 * (light.sky * 0.8 + light.sun * max(0.0, float(light.to_sun[2])))
    return sky * above + road.astype(np.float32)[:, None] * (1 - above)
