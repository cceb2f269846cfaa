"""Blur by the variance of the Laplacian (Pech-Pacheco et al. 2000, "Diatom autofocusing in brightfield microscopy").

A sharp photo has strong second derivatives somewhere; blur flattens them all. The value grows with noise and with
texture, and falls when a small photo is enlarged.
"""

from __future__ import annotations

import cv2
import numpy as np

from siamclip.cleaning.contracts import Findings, PhotoTable
from siamclip.cleaning.decoded import Decoded
from siamclip.cleaning.quality.thresholds import Limit, findings_beyond


def laplacian_variance(decoded: Decoded) -> dict[str, float]:
    """`variance` of the photo's luma."""
    return {"laplacian_variance": variance(decoded.gray)}


def variance(gray: np.ndarray) -> float:
    """uint8 (H, W) -> `cv2.Laplacian(gray, CV_64F).var()`, in squared grey levels.

    In 16 bits: the kernel 0 1 0 / 1 -4 1 / 0 1 0 stays in [-1020, 1020], and the sums are exact (1.1 ms instead
    of 3.8 for 1260 x 840).
    """
    _, deviation = cv2.meanStdDev(cv2.Laplacian(gray, cv2.CV_16S))
    return float(deviation[0, 0]) ** 2


def laplacian(
    photos: PhotoTable, *, threshold: float = 100.0, percentile: float | None = None, max_share: float = 1 / 3
) -> Findings:
    """Photos whose variance lies below `threshold`, or the lowest `percentile` percent.

    100 flags 5% of sharp photos of groceries (348 x 348) and none of vehicles (93 x 137), and all of both once they
    are blurred with a Gaussian of 2 pixels.
    """
    limit = Limit("threshold", threshold, "blurred", "below", 0.0)
    values = photos.column("laplacian_variance")
    return findings_beyond(photos, "laplacian", "Laplacian variance", values, [limit], percentile, max_share)
