"""Body types: their measures and the outline that each is lofted from.

An outline has ten key points from the rear bottom over the roof to the front bottom, so that every body has
the same nine panels (`PANELS`): only their sizes tell a sedan from a bus.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PANELS = (
    "rear_bumper",
    "tailgate",
    "deck",
    "rear_window",
    "roof",
    "windscreen",
    "bonnet",
    "grille",
    "front_bumper",
)


@dataclass(frozen=True)
class Body:
    """Metres, except `keys` (fraction of length from the rear, fraction of height), `belt` (the lower edge of
    the side windows, fraction of height), `axles` (fractions of length), `tumble` (how much the roof is
    narrower) and `pillars` (fractions of the glasshouse at which side windows are parted)."""

    name: str
    length: float
    width: float
    height: float
    keys: tuple[tuple[float, float], ...]
    belt: float
    axles: tuple[float, float]
    wheel_radius: float
    tumble: float
    pillars: tuple[float, ...]
    share: float  # of the traffic that the data set imitates


BODIES = {
    body.name: body
    for body in (
        Body(
            "sedan", 4.70, 1.82, 1.46,
            ((0.015, 0.15), (0.0, 0.37), (0.015, 0.69), (0.13, 0.73), (0.29, 0.97),
             (0.56, 0.98), (0.73, 0.69), (0.945, 0.56), (0.995, 0.41), (0.985, 0.14)),
            0.66, (0.19, 0.80), 0.33, 0.22, (0.22, 0.56), 0.30,
        ),
        Body(
            "hatchback", 4.05, 1.73, 1.51,
            ((0.015, 0.15), (0.0, 0.36), (0.02, 0.60), (0.03, 0.65), (0.12, 0.96),
             (0.53, 0.985), (0.74, 0.68), (0.95, 0.57), (0.995, 0.41), (0.985, 0.14)),
            0.64, (0.17, 0.81), 0.31, 0.20, (0.26, 0.60), 0.14,
        ),
        Body(
            "suv", 4.62, 1.88, 1.72,
            ((0.015, 0.18), (0.0, 0.37), (0.01, 0.58), (0.02, 0.62), (0.085, 0.955),
             (0.55, 0.98), (0.71, 0.67), (0.945, 0.60), (0.995, 0.43), (0.98, 0.17)),
            0.62, (0.19, 0.80), 0.37, 0.18, (0.28, 0.60), 0.20,
        ),
        Body(
            "mpv", 4.85, 1.86, 1.78,
            ((0.012, 0.15), (0.0, 0.34), (0.008, 0.55), (0.015, 0.59), (0.06, 0.955),
             (0.62, 0.98), (0.82, 0.63), (0.96, 0.52), (0.998, 0.38), (0.985, 0.14)),
            0.58, (0.18, 0.81), 0.34, 0.16, (0.33, 0.66), 0.09,
        ),
        Body(
            "van", 4.95, 1.80, 2.02,
            ((0.01, 0.15), (0.0, 0.29), (0.004, 0.52), (0.008, 0.56), (0.03, 0.95),
             (0.74, 0.975), (0.88, 0.58), (0.965, 0.47), (0.999, 0.33), (0.99, 0.13)),
            0.56, (0.18, 0.82), 0.32, 0.12, (0.36, 0.70), 0.09,
        ),
        Body(
            "pickup", 5.30, 1.88, 1.78,
            ((0.01, 0.23), (0.0, 0.36), (0.004, 0.60), (0.375, 0.60), (0.42, 0.965),
             (0.60, 0.98), (0.745, 0.66), (0.955, 0.59), (0.995, 0.44), (0.98, 0.20)),
            0.61, (0.20, 0.81), 0.38, 0.20, (0.52,), 0.05,
        ),
        Body(
            "truck", 6.00, 2.05, 2.25,
            ((0.675, 0.24), (0.672, 0.36), (0.672, 0.50), (0.673, 0.56), (0.68, 0.96),
             (0.90, 0.98), (0.985, 0.55), (0.995, 0.44), (1.0, 0.32), (0.99, 0.15)),
            0.56, (0.18, 0.86), 0.40, 0.08, (), 0.08,
        ),
        Body(
            "bus", 8.40, 2.40, 2.95,
            ((0.004, 0.11), (0.0, 0.27), (0.002, 0.50), (0.004, 0.53), (0.014, 0.93),
             (0.970, 0.96), (0.990, 0.46), (0.994, 0.38), (1.0, 0.24), (0.995, 0.10)),
            0.44, (0.24, 0.74), 0.45, 0.06, (0.17, 0.34, 0.51, 0.68, 0.85), 0.05,
        ),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """A body with one vehicle's proportions: everything in metres, x forward from the middle, y left, z
    up.
    """

    body: Body
    length: float
    width: float
    height: float
    keys: np.ndarray  # float64 (10, 2): x, z

    @property
    def belt(self) -> float:
        """Height of the lower edge of the side windows."""
        return self.body.belt * self.height

    @property
    def axles(self) -> tuple[float, float]:
        """x of the rear and of the front axle."""
        rear, front = self.body.axles
        return (rear - 0.5) * self.length, (front - 0.5) * self.length

    @property
    def panel_ends(self) -> np.ndarray:
        """Arc length along the outline at the ten keys, float64 (10,), from 0."""
        return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(self.keys, axis=0).T))])

    def half_width(self, z: np.ndarray) -> np.ndarray:
        """Half the body's width at heights z: widest below the windows, narrower at sill and roof."""
        above = np.clip((z - self.belt) / max(self.height - self.belt, 1e-6), 0, 1)
        below = np.clip((self.belt - z) / self.belt, 0, 1)
        return self.width / 2 * (1 - self.body.tumble * above**1.3 - 0.05 * below**2)

    def taper(self, x: np.ndarray, across: np.ndarray) -> np.ndarray:
        """x of a surface point at `across` in [-1, 1] of the width: ends are bowed and their corners
        rounded.
        """
        ends = np.clip(np.abs(2 * x / self.length), 0, 1) ** 8
        corner = 0.05 if self.body.name in ("truck", "bus") else 0.16
        return x - np.sign(x) * ends * (0.07 * across**2 + corner * across**8)


def shape_body(name: str, length: float, width: float, height: float, stretch: np.ndarray) -> Shape:
    """A body scaled by the three factors; `stretch` (10, 2) shifts the key points, fractions of length and
    height.
    """
    body = BODIES[name]
    keys = np.array(body.keys) + stretch
    size = np.array([body.length * length, body.height * height])
    keys = (keys - [0.5, 0.0]) * size
    return Shape(body, body.length * length, body.width * width, body.height * height, keys)
