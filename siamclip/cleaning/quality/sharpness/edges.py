"""Few edges: the share of pixels on an edge, by Canny (1986), Roberts (1963) and Prewitt (1970).

A blurred, foggy or empty photo has few. The gradients of Roberts and Prewitt are those of scikit-image
(`skimage.filters.roberts`, `prewitt`) in grey levels. The default thresholds flag 1.2% of sharp photos of groceries
and none of vehicles; of the same blurred with a Gaussian of 2 pixels Canny flags 68% and 19%, Roberts 85% and 41%,
Prewitt 99% and 90%.
"""

from __future__ import annotations

import cv2
import numpy as np

from siamclip.cleaning.contracts import Findings, PhotoTable
from siamclip.cleaning.decoded import Decoded
from siamclip.cleaning.quality.thresholds import Limit, as_percent, findings_beyond

CANNY_THRESHOLDS = (100, 200)
# Grey levels of 255 above which a gradient counts. Lower ones count noise and soft shades, which blur does not take
# away: of photos blurred with 2 pixels, Roberts at 5 levels told .89 from sharp ones (AUC), at 20 .994.
ROBERTS_LEVELS = 20
PREWITT_LEVELS = 40  # its differences span two pixels

_DIFFERENCE = np.array([-1, 0, 1], np.float32)
_SUM = np.ones(3, np.float32)


def edge_densities(decoded: Decoded) -> dict[str, float]:
    """`canny_density`, `roberts_density`, `prewitt_density`: shares of the pixels, in [0, 1].

    Canny: cv2.Canny(gray, 100, 200). Roberts: sqrt((d1^2 + d2^2) / 2) of the diagonal differences with the pixels
    to the right and below. Prewitt: sqrt((gx^2 + gy^2) / 2) of the 3 x 3 sums over 3. Beyond the border the photo
    is mirrored, its edge pixels repeated.
    """
    gray = decoded.gray
    return {
        "canny_density": cv2.countNonZero(cv2.Canny(gray, *CANNY_THRESHOLDS)) / gray.size,
        "roberts_density": _share_above(*_roberts(gray), 2 * ROBERTS_LEVELS**2),
        "prewitt_density": _share_above(*_prewitt(gray), 2 * (3 * PREWITT_LEVELS) ** 2),
    }


def _roberts(gray: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """|d1|, |d2|: uint8 (H, W)."""
    wide = cv2.copyMakeBorder(gray, 0, 1, 0, 1, cv2.BORDER_REFLECT)
    return cv2.absdiff(wide[:-1, :-1], wide[1:, 1:]), cv2.absdiff(wide[:-1, 1:], wide[1:, :-1])


def _prewitt(gray: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """3 gx, 3 gy: int16 (H, W) in [-765, 765]."""
    return (
        cv2.sepFilter2D(gray, cv2.CV_16S, _DIFFERENCE, _SUM, borderType=cv2.BORDER_REFLECT),
        cv2.sepFilter2D(gray, cv2.CV_16S, _SUM, _DIFFERENCE, borderType=cv2.BORDER_REFLECT),
    )


def _share_above(first: np.ndarray, second: np.ndarray, square: int) -> float:
    """Share of the pixels where first^2 + second^2 > `square`, which must be below 65535: 16 bits saturate there."""
    energy = cv2.multiply(first, first, dtype=cv2.CV_16U)
    energy = cv2.add(energy, cv2.multiply(second, second, dtype=cv2.CV_16U))
    return int(np.count_nonzero(energy > square)) / energy.size


def canny(
    photos: PhotoTable, *, threshold: float = 0.02, percentile: float | None = None, max_share: float = 1 / 3
) -> Findings:
    """Photos with a smaller share of Canny's edges than `threshold`, or the lowest `percentile` percent."""
    return _judge(photos, "canny", "Canny", threshold, percentile, max_share)


def roberts(
    photos: PhotoTable, *, threshold: float = 0.03, percentile: float | None = None, max_share: float = 1 / 3
) -> Findings:
    """Photos with a smaller share of Roberts' edges than `threshold`, or the lowest `percentile` percent."""
    return _judge(photos, "roberts", "Roberts", threshold, percentile, max_share)


def prewitt(
    photos: PhotoTable, *, threshold: float = 0.01, percentile: float | None = None, max_share: float = 1 / 3
) -> Findings:
    """Photos with a smaller share of Prewitt's edges than `threshold`, or the lowest `percentile` percent."""
    return _judge(photos, "prewitt", "Prewitt", threshold, percentile, max_share)


def _judge(
    photos: PhotoTable, method: str, operator: str, threshold: float, percentile: float | None, max_share: float
) -> Findings:
    limit = Limit("threshold", threshold, "few edges", "below", 0.0, 1.0, as_percent)
    values = photos.column(f"{method}_density")
    return findings_beyond(photos, method, f"{operator} edges on", values, [limit], percentile, max_share)
