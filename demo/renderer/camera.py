"""A pinhole camera that looks at a vehicle, and the crop that a detector would cut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Camera:
    """`position` (3,) metres; `axes` (3, 3): rows are right, down and forward; `focal` and `centre` in
    pixels; `width` and `height` of the picture in pixels."""

    position: np.ndarray
    axes: np.ndarray
    focal: float
    centre: tuple[float, float]
    width: int
    height: int

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (n, 2) and depth (n,) in metres of points (n, 3). The middle of the first pixel is (0,
        0).
        """
        local = (points - self.position) @ self.axes.T
        return local[:, :2] / local[:, 2:] * self.focal + self.centre, local[:, 2]

    def rays(self) -> np.ndarray:
        """Direction of every pixel, float32 (H, W, 3), with a length of 1 along the camera's axis."""
        x = (np.arange(self.width) - self.centre[0]) / self.focal
        y = (np.arange(self.height) - self.centre[1]) / self.focal
        right, down, forward = self.axes
        return (forward + x[None, :, None] * right + y[:, None, None] * down).astype(np.float32)

    def enlarged(self, factor: int) -> Camera:
        """The same view with `factor` times as many pixels a side."""
        shift = (factor - 1) / 2
        centre = self.centre[0] * factor + shift, self.centre[1] * factor + shift
        return Camera(self.position, self.axes, self.focal * factor, centre, self.width * factor, self.height * factor)


def look_at(
    points: np.ndarray,
    *,
    azimuth: float,
    elevation: float,
    roll: float,
    distance: float,
    margins: np.ndarray,
    size: int,
) -> Camera:
    """A camera around the middle of `points` (n, 3), zoomed so that they and the margins fill the picture.

    Angles in radians: azimuth 0 looks from behind and grows towards the left side of the vehicle (pi: from
    the front). `margins` (4,) are fractions of the points' extent (left, top, right, bottom), negative where
    the crop cuts into it. The longer side gets `size` pixels; neither side is less than 0.7 of the other.
    """
    target = (points.max(0) + points.min(0)) / 2
    back = np.array([-np.cos(azimuth), np.sin(azimuth), 0.0]) * np.cos(elevation)
    position = target + distance * (back + np.array([0, 0, np.sin(elevation)]))
    forward = (target - position) / distance
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    turn = np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
    right, down = turn @ np.stack([right, down])
    axes = np.stack([right, down, forward])
    flat, _ = Camera(position, axes, 1.0, (0.0, 0.0), 1, 1).project(points)
    low, high = flat.min(0), flat.max(0)
    extent = high - low
    low, high = low - margins[:2] * extent, high + margins[2:] * extent
    extent = high - low
    wanted = np.maximum(extent, 0.7 * extent[::-1])
    low = low - (wanted - extent) / 2
    focal = size / float(wanted.max())
    width, height = (max(8, round(float(side) * focal)) for side in wanted)
    centre = -low * focal - 0.5
    return Camera(position, axes, focal, (float(centre[0]), float(centre[1])), width, height)
