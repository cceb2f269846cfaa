"""The low band of Haar wavelets, as imagehash's whash thresholds it: by sums of blocks, and bit for bit.

Taking the mean away and decomposing again leaves one value a block, in the order of the blocks' sums. Their median
parts them, and whole numbers part them exactly, unless the two middle sums are equal. Then imagehash's bits are the
rounding errors of its float64 transforms; these are repeated here in the same order of operations (PyWavelets 1.8),
for the blocks of the middle sum alone.
"""

from __future__ import annotations

import numpy as np

_C = 0.7071067811865476  # PyWavelets' 1 / sqrt(2)


def natural_scale(size: tuple[int, int], side: int) -> int:
    """The side to which imagehash reduces a photo of that (width, height): a power of two, at least `side`."""
    return max(1 << (min(size).bit_length() - 1), side)


def low_band_bits(square: np.ndarray, side: int) -> np.ndarray:
    """bool (side, side) of uint8 (S, S); both are powers of two, S >= side."""
    block = len(square) // side
    sums = square.reshape(side, block, len(square)).sum(axis=1, dtype=np.int64)
    sums = sums.reshape(side, side, block).sum(axis=2)
    ordered = np.sort(sums, axis=None)
    middle = side * side // 2
    if ordered[middle - 1] < ordered[middle]:
        return sums >= ordered[middle]
    tied = sums == ordered[middle]
    band = np.where(sums > ordered[middle], np.inf, -np.inf)
    band[tied] = _as_rounded(square, side, tied)
    return band > np.median(band)


def _as_rounded(square: np.ndarray, side: int, tied: np.ndarray) -> np.ndarray:
    """(n,) float64: what imagehash's low band holds for the `tied` blocks, rounding errors included."""
    block = len(square) // side
    low = np.empty((side, side))
    for i in range(side):  # a row of blocks at a time: a photo of 100 megapixels would be 0.5 GB of float64
        low[i] = _low(square[i * block : (i + 1) * block] / 255.0, block)[0]
    details = []
    while len(low) > 1:
        low, *rest = _analysed(low)
        details.append(rest)
    low = low * 0
    while details:
        low = _synthesised(low, *details.pop())
    found = []
    for i, j in np.argwhere(tied):
        pixels = square[i * block : (i + 1) * block, j * block : (j + 1) * block] / 255.0
        while len(pixels) > 1:
            pixels, *rest = _analysed(pixels)
            details.append(rest)
        pixels = low[i : i + 1, j : j + 1]
        while details:
            pixels = _synthesised(pixels, *details.pop())
        found.append(_low(pixels, block)[0, 0])
    return np.array(found)


def _low(pixels: np.ndarray, block: int) -> np.ndarray:
    while block > 1:
        pixels = _analysed(pixels)[0]
        block //= 2
    return pixels


def _analysed(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """One level: low, then down-across low-high, high-low, high-high; columns first, as dwtn does."""
    even, odd = pixels[0::2], pixels[1::2]
    low, high = _C * odd + _C * even, -_C * odd + _C * even
    bands = []
    for band in (low, high):
        even, odd = band[:, 0::2], band[:, 1::2]
        bands += [_C * odd + _C * even, -_C * odd + _C * even]
    return bands[0], bands[1], bands[2], bands[3]


def _synthesised(low: np.ndarray, low_high: np.ndarray, high_low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The inverse of `_analysed`: rows first, as idwtn does."""
    rows = []
    for one, other in ((low, low_high), (high_low, high)):
        wide = np.empty((len(one), 2 * one.shape[1]))
        wide[:, 0::2], wide[:, 1::2] = _C * one + _C * other, _C * one + -_C * other
        rows.append(wide)
    tall = np.empty((2 * len(low), 2 * low.shape[1]))
    tall[0::2], tall[1::2] = _C * rows[0] + _C * rows[1], _C * rows[0] + -_C * rows[1]
    return tall
