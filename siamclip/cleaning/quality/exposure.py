"""Exposure: black and white parts, brightness, contrast and information, all from one histogram of grey levels."""

from __future__ import annotations

import cv2
import numpy as np

from siamclip.cleaning.contracts import Findings, PhotoTable
from siamclip.cleaning.decoded import Decoded
from siamclip.cleaning.quality.thresholds import Limit, as_percent, findings_beyond

DARK_BELOW = 10
BRIGHT_ABOVE = 245
_EXACT_FLOATS = 2**24  # OpenCV returns the counts as 32-bit floats
_LEVELS = np.arange(256)


def exposure(decoded: Decoded) -> dict[str, float]:
    """`dark_share` (grey < 10) and `bright_share` (> 245) in [0, 1], `mean_intensity` and `contrast` (standard
    deviation) in grey levels, `entropy` of the histogram in bits, 0 to 8."""
    histogram = grey_histogram(decoded.gray)
    pixels = int(histogram.sum())
    mean = float(histogram @ _LEVELS) / pixels
    shares = histogram[histogram > 0] / pixels
    return {
        "dark_share": int(histogram[:DARK_BELOW].sum()) / pixels,
        "bright_share": int(histogram[BRIGHT_ABOVE + 1 :].sum()) / pixels,
        "mean_intensity": mean,
        "contrast": float(np.sqrt(histogram @ (_LEVELS - mean) ** 2 / pixels)),
        "entropy": max(0.0, float(-(shares @ np.log2(shares)))),
    }


def grey_histogram(gray: np.ndarray) -> np.ndarray:
    """(256,) int64: exact counts of the levels of a uint8 (H, W) image."""
    rows = max(1, _EXACT_FLOATS // gray.shape[1])
    strips = (gray[start : start + rows] for start in range(0, gray.shape[0], rows))
    counts = (cv2.calcHist([strip], [0], None, [256], [0, 256]) for strip in strips)
    return sum((count.ravel().astype(np.int64) for count in counts), np.zeros(256, np.int64))


def under_exposed(
    photos: PhotoTable, *, threshold: float = 0.1, percentile: float | None = None, max_share: float = 1 / 3
) -> Findings:
    """Photos with a larger share of pixels below 10 than `threshold`, or the highest `percentile` percent."""
    limit = Limit("threshold", threshold, "under-exposed", "above", 0.0, 1.0, as_percent)
    values = photos.column("dark_share")
    return findings_beyond(photos, "under_exposed", "black parts of", values, [limit], percentile, max_share)


def over_exposed(
    photos: PhotoTable, *, threshold: float = 0.1, percentile: float | None = None, max_share: float = 1 / 3
) -> Findings:
    """Photos with a larger share of pixels above 245 than `threshold`, or the highest `percentile` percent."""
    limit = Limit("threshold", threshold, "over-exposed", "above", 0.0, 1.0, as_percent)
    values = photos.column("bright_share")
    return findings_beyond(photos, "over_exposed", "white parts of", values, [limit], percentile, max_share)


def intensity(
    photos: PhotoTable,
    *,
    minimum: float = 50.0,
    maximum: float = 200.0,
    percentile: float | None = None,
    max_share: float = 1 / 3,
) -> Findings:
    """Photos whose mean grey level lies outside of [minimum, maximum], or `percentile` as_percent, half at each end."""
    limits = [
        Limit("minimum", minimum, "too dark", "below", 0.0, 255.0),
        Limit("maximum", maximum, "too bright", "above", 0.0, 255.0),
    ]
    values = photos.column("mean_intensity")
    return findings_beyond(photos, "intensity", "mean intensity", values, limits, percentile, max_share)


def low_contrast(
    photos: PhotoTable, *, threshold: float = 20.0, percentile: float | None = None, max_share: float = 1 / 3
) -> Findings:
    """Photos whose grey levels deviate by less than `threshold` (standard deviation), or the lowest `percentile`."""
    limit = Limit("threshold", threshold, "low contrast", "below", 0.0, 127.5)
    values = photos.column("contrast")
    return findings_beyond(photos, "low_contrast", "standard deviation", values, [limit], percentile, max_share)


def low_entropy(
    photos: PhotoTable, *, threshold: float = 4.0, percentile: float | None = None, max_share: float = 1 / 3
) -> Findings:
    """Photos whose histogram holds fewer bits than `threshold`, or the lowest `percentile` percent: blank frames."""
    limit = Limit("threshold", threshold, "little information", "below", 0.0, 8.0)
    values = photos.column("entropy")
    return findings_beyond(photos, "low_entropy", "bits of histogram entropy:", values, [limit], percentile, max_share)
