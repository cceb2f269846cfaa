"""What stands around a vehicle: road, markings, verge and walls, each pixel by the ray that it looks
along.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from demo.renderer.camera import Camera
from demo.renderer.light import Light
from demo.vehicle.model import Model

_NOISE_SIDE = 512  # pixels of the tile of ground noise
_NOISE_DENSITY = 36.0  # its pixels a metre
WALLS = ("hedge", "facade", "barrier", "fence", "open")


@dataclass(frozen=True)
class Scene:
    """A place. Distances in metres from the middle of the vehicle, whose lane runs along x; colours are
    RGB.
    """

    ground: np.ndarray
    grain: float
    lane_left: float
    lane_right: float
    marking: np.ndarray
    dashed: bool
    crossing_at: float
    bays: bool
    kerb_left: float
    kerb_right: float
    verge: np.ndarray
    wall_left: str
    wall_right: str
    wall_ends: str
    wall_colour: np.ndarray
    setback: float
    offset: np.ndarray
    wet: float


def sample_scene(generator: np.random.Generator, wet: bool) -> Scene:
    """A place drawn from the generator: road or car park, dry or wet."""
    asphalt = generator.uniform(62, 122)
    concrete = generator.random() < 0.25
    ground = np.array([asphalt, asphalt, asphalt + 3]) if not concrete else np.array([150, 146, 138]) - asphalt / 6
    verges = ([86, 104, 58], [132, 128, 122], [116, 104, 86], [104, 106, 110])
    walls = ([150, 120, 104], [176, 170, 160], [96, 104, 112], [128, 134, 128])
    return Scene(
        ground=ground + generator.normal(0, 3, 3),
        grain=float(generator.uniform(0.04, 0.16)),
        lane_left=float(generator.uniform(1.5, 2.1)),
        lane_right=float(-generator.uniform(1.5, 2.1)),
        marking=np.array([226, 224, 216]) if generator.random() < 0.75 else np.array([220, 178, 60]),
        dashed=bool(generator.random() < 0.6),
        crossing_at=float(generator.uniform(-9, 9)) if generator.random() < 0.25 else 99.0,
        bays=bool(generator.random() < 0.2),
        kerb_left=float(generator.uniform(2.4, 9)),
        kerb_right=float(-generator.uniform(2.2, 6)),
        verge=np.array(verges[int(generator.integers(4))]) + generator.normal(0, 8, 3),
        wall_left=str(generator.choice(WALLS)),
        wall_right=str(generator.choice(WALLS)),
        wall_ends=str(generator.choice(["hedge", "facade", "open"])),
        wall_colour=np.array(walls[int(generator.integers(4))]) + generator.normal(0, 12, 3),
        setback=float(generator.uniform(0.3, 4)),
        offset=generator.uniform(0, 500, 2),
        wet=0.45 if wet else 0.0,
    )


@cache
def _noise() -> np.ndarray:
    """A tile of ground noise, float32 (side, side) about zero, that repeats without a seam."""
    generator = np.random.default_rng(20240501)
    total = np.zeros((_NOISE_SIDE, _NOISE_SIDE), np.float32)
    for cells, strength in ((8, 0.5), (32, 0.5), (128, 0.5), (512, 0.8)):
        coarse = np.pad(generator.random((cells, cells)).astype(np.float32), 1, mode="wrap")
        scale = _NOISE_SIDE // cells
        fine = cv2.resize(coarse, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
        total += strength * (fine[scale:-scale, scale:-scale] - 0.5)
    return total


def _noise_at(x: np.ndarray, y: np.ndarray, density: float = _NOISE_DENSITY) -> np.ndarray:
    u, v = (np.mod(axis * density, _NOISE_SIDE).astype(np.float32) for axis in (x, y))
    return cv2.remap(_noise(), u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def draw_scene(scene: Scene, camera: Camera, light: Light, model: Model) -> np.ndarray:
    """The surroundings without the vehicle but with its shadow, float32 (H, W, 3) linear RGB."""
    rays = camera.rays()
    far = 200.0
    down = np.minimum(rays[..., 2], -1e-4)
    reach = np.where(rays[..., 2] < -1e-4, -float(camera.position[2]) / down, far)
    reach = np.minimum(reach, far).astype(np.float32)
    x = float(camera.position[0]) + reach * rays[..., 0]
    y = float(camera.position[1]) + reach * rays[..., 1]
    colour = _ground(scene, x, y, reach / camera.focal)
    sun = light.sun * max(0.0, float(light.to_sun[2]))
    shadow, contact = _shadows(camera, light, model)
    lit = (light.sky * contact[..., None] + light.ground + sun * shadow[..., None]).astype(np.float32)
    picture = colour * lit * (1 - scene.wet)
    sky = reach >= far
    picture[sky] = (light.sky * 1.6).astype(np.float32)
    nearest = np.where(sky, np.float32(np.inf), reach)
    for axis, place, kind in _walls(scene):
        _draw_wall(picture, nearest, rays, camera, axis, place, kind, scene, light)
    return picture


def _ground(scene: Scene, x: np.ndarray, y: np.ndarray, footprint: np.ndarray) -> np.ndarray:
    """Albedo of the ground at metres (x, y); `footprint` is how many metres a pixel spans there."""
    soft = footprint * 1.5 + 0.01

    def inside(low: np.ndarray | float, high: np.ndarray | float, value: np.ndarray) -> np.ndarray:
        return np.clip(np.minimum(value - low, high - value) / soft + 0.5, 0, 1)

    ox, oy = map(float, scene.offset)
    grain = _noise_at(x + ox, y + oy) * np.clip(1.5 - footprint * 12, 0.15, 1)
    wheel_tracks = 0.06 * np.cos(2 * np.pi * y / 1.75) * (np.abs(y) < 1.7)
    ground, marking, verge_colour = (
        (colour / 255).astype(np.float32) for colour in (scene.ground, scene.marking, scene.verge)
    )
    base = ground * (1 + 2.2 * scene.grain * grain - wheel_tracks)[..., None]
    paint = np.zeros_like(x)
    for lane, dashed in ((scene.lane_left, scene.dashed), (scene.lane_right, False)):
        line = inside(lane - 0.075, lane + 0.075, y)
        if dashed:
            line = line * inside(0.0, 4.0, np.mod(x + ox, 9.0))
        paint = np.maximum(paint, line)
    if scene.bays:
        paint = np.maximum(paint, inside(0.0, 0.12, np.mod(x + ox, 6.0)) * (y > scene.lane_left))
    stripes = inside(scene.crossing_at, scene.crossing_at + 3, x) * inside(0.0, 0.45, np.mod(y + oy, 0.9))
    paint = np.maximum(paint, stripes) * (0.75 + 0.5 * grain).clip(0, 1)
    base += paint[..., None] * (marking - base)
    verge = np.clip((y - scene.kerb_left) / soft, 0, 1) + np.clip((scene.kerb_right - y) / soft, 0, 1)
    kerb = inside(scene.kerb_left - 0.2, scene.kerb_left, y) + inside(scene.kerb_right, scene.kerb_right + 0.2, y)
    green = verge_colour * (1 + 0.5 * grain)[..., None]
    base += verge[..., None] * (green - base)
    base += kerb.clip(0, 1)[..., None] * (0.62 - base)
    base = np.clip(base, 0.02, 0.95)
    return base * base


def _walls(scene: Scene) -> list[tuple[int, float, str]]:
    """The upright planes: axis that they cross (0: x, 1: y), where, and what they are."""
    return [
        (1, scene.kerb_left + scene.setback, scene.wall_left),
        (1, scene.kerb_right - scene.setback, scene.wall_right),
        (0, 38.0, scene.wall_ends),
        (0, -38.0, scene.wall_ends),
    ]


def _draw_wall(
    picture: np.ndarray,
    nearest: np.ndarray,
    rays: np.ndarray,
    camera: Camera,
    axis: int,
    place: float,
    kind: str,
    scene: Scene,
    light: Light,
) -> None:
    """Draws one plane over `picture` wherever it is nearer than `nearest`, which it lowers."""
    gap = place - float(camera.position[axis])
    if kind == "open" or gap * place <= 0:  # nothing there, or the camera stands beyond it
        return
    along_ray = rays[..., axis]
    reach = gap / np.where(np.abs(along_ray) < 1e-4, 1e-4, along_ray)
    height = float(camera.position[2]) + reach * rays[..., 2]
    top = {"hedge": 2.2, "facade": 14.0, "barrier": 0.85, "fence": 1.3}[kind]
    along = float(camera.position[1 - axis]) + reach * rays[..., 1 - axis]
    ragged = 0.35 * _noise_at(along, np.zeros_like(along), 4.0) if kind == "hedge" else 0.0
    hit = (reach > 0.5) & (reach < nearest) & (height > 0) & (height < top + ragged)
    if kind == "fence":
        hit &= (np.mod(along, 0.16) < 0.035) | (np.mod(height, 0.6) < 0.05)
    if not hit.any():
        return
    s, z = along[hit][None], height[hit][None]
    albedo = _wall_albedo(kind, s, z, scene)[0]
    normal = np.zeros(3)
    normal[axis] = -np.sign(place)
    facing = max(0.0, float(normal @ light.to_sun))
    picture[hit] = albedo * albedo * (0.6 * light.sky + light.ground + facing * light.sun).astype(np.float32)
    nearest[hit] = reach[hit]


def _wall_albedo(kind: str, s: np.ndarray, z: np.ndarray, scene: Scene) -> np.ndarray:
    ox, oy = map(float, scene.offset)
    noise = _noise_at(s + ox, z + oy, 14.0)
    if kind == "hedge":
        colour = np.array([58, 84, 40]) / 255 * (1 + 1.3 * noise)[..., None]
    elif kind == "barrier":
        colour = np.array([178, 176, 170]) / 255 * (1 + 0.2 * noise)[..., None]
        band = (np.mod(s, 2.4) < 1.2) & (z > 0.55)
        colour[band] = np.array([200, 170, 40]) / 255 if scene.dashed else np.array([150, 40, 36]) / 255
    elif kind == "fence":
        colour = np.broadcast_to(np.array([206, 208, 210]) / 255, (*s.shape, 3)).copy()
    else:
        colour = scene.wall_colour / 255 * (1 + 0.12 * noise)[..., None]
        window = (np.mod(s + ox, 3.2) < 1.7) & (np.mod(z, 3.3) > 1.1) & (np.mod(z, 3.3) < 2.7)
        colour[window] = np.array([46, 56, 66]) / 255
        colour[z < 0.5] *= 0.7
    return np.clip(colour, 0.02, 0.95).astype(np.float32)


def _shadows(camera: Camera, light: Light, model: Model) -> tuple[np.ndarray, np.ndarray]:
    """How much of the sun and of the sky reaches the ground at each pixel, two float32 (H, W) in [0, 1]."""
    vertices = model.mesh.vertices[::3]
    drop = vertices[:, 2:] / max(float(light.to_sun[2]), 0.15)
    cast = np.concatenate([vertices[:, :2] - drop * light.to_sun[None, :2], np.zeros((len(vertices), 1))], 1)
    low, high = vertices.min(0), vertices.max(0)
    margin = np.array([0.12, -0.05])
    (x0, y0), (x1, y1) = low[:2] - margin, high[:2] + margin
    foot = np.array([[x0, y0, 0], [x0, y1, 0], [x1, y1, 0], [x1, y0, 0]])
    metre = camera.focal / float(np.linalg.norm(camera.position))
    masks = []
    for points, spread, depth in ((cast, 0.06, 0.85), (foot, 0.18, 0.85)):
        mask = np.zeros((camera.height, camera.width), np.float32)
        pixels, ahead = camera.project(points)
        if (ahead > 0.5).all():
            hull = cv2.convexHull(np.round(pixels * 16).astype(np.int32))
            cv2.fillConvexPoly(mask, hull, depth, cv2.LINE_8, 4)
        masks.append(1 - cv2.GaussianBlur(mask, (0, 0), max(0.6, spread * metre)))
    return masks[0], masks[1]
