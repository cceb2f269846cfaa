"""How well two photos agree where a map lays the one over the other: correlation of grey values, tile by tile.

Zero-mean normalised cross-correlation forgives brightness and contrast. The lower quartile of the tiles is taken:
a caption or a watermark may cover a quarter of the tiles, while a second photo of the same vehicle differs in its
background, its outline and its wheels, which are more.
"""

from __future__ import annotations

import cv2
import numpy as np

SIDE = 160  # pixels of the longer side on which they are compared
TILES = 6  # a side
MIN_OVERLAP = 0.5  # of the smaller photo: two crops of one scene share a strip, and are no copies
_FLAT = 4.0  # grey levels of spread below which a tile says nothing
_QUANTILE = 25


def agreement_under(first: np.ndarray, second: np.ndarray, to_second: np.ndarray) -> float:
    """Lower quartile of the tiles' correlations, in [-1, 1]; 0 where too little overlaps or all of it is flat.

    `first`, `second`: uint8 (H, W); `to_second`: (2, 3), pixels of the first to pixels of the second.
    """
    height, width = second.shape
    shrink = SIDE / max(height, width)
    size = (max(8, round(width * shrink)), max(8, round(height * shrink)))
    # Pixel centres: x' = (x + 1/2) s - 1/2.
    sx, sy = size[0] / width, size[1] / height
    placed = np.diag([sx, sy]) @ to_second + [[0, 0, (sx - 1) / 2], [0, 0, (sy - 1) / 2]]
    scale = abs(np.linalg.det(placed[:, :2])) ** 0.5
    smooth = cv2.GaussianBlur(first, (0, 0), 0.4 / scale) if scale < 1 else first
    laid = cv2.GaussianBlur(cv2.warpAffine(smooth, placed, size).astype(np.float32), (0, 0), 1.0)
    under = cv2.GaussianBlur(cv2.resize(second, size, interpolation=cv2.INTER_AREA).astype(np.float32), (0, 0), 1.0)
    covered = cv2.warpAffine(np.full(first.shape, 255, np.uint8), placed, size) > 250
    smaller = min(size[0] * size[1], first.size * scale**2)
    if covered.sum() < MIN_OVERLAP * smaller:
        return 0.0
    correlations = [
        _correlation(laid[tile][covered[tile]], under[tile][covered[tile]])
        for tile in _tiles(*covered.shape)
        if covered[tile].mean() >= 0.5
    ]
    known = [value for value in correlations if value is not None]
    return float(np.percentile(known, _QUANTILE)) if known else 0.0


def _tiles(height: int, width: int) -> list[tuple[slice, slice]]:
    rows, columns = (np.linspace(0, side, TILES + 1).astype(int) for side in (height, width))
    return [
        (slice(rows[i], rows[i + 1]), slice(columns[j], columns[j + 1])) for i in range(TILES) for j in range(TILES)
    ]


def _correlation(one: np.ndarray, other: np.ndarray) -> float | None:
    """None where both are flat. One grey level of noise is allowed for: structure against none gives nearly 0."""
    spread, spread_other = float(one.std()), float(other.std())
    if max(spread, spread_other) < _FLAT:
        return None
    covariance = float(((one - one.mean()) * (other - other.mean())).mean())
    return covariance / (spread * spread_other + 1.0)
