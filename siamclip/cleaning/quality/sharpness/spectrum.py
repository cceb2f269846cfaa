"""Blur by the spectrum: the share of energy at high frequencies, and how evenly the spectrum is filled.

Blur is a low-pass filter: it takes the high frequencies away (Liu, Li and Jia 2008, "Image partial blur detection and
classification", use the same in patches), which also makes the spectrum less even.
"""

from __future__ import annotations

import cv2
import numpy as np

from siamclip.cleaning.contracts import Findings, PhotoTable
from siamclip.cleaning.decoded import Decoded
from siamclip.cleaning.quality.thresholds import Limit, findings_beyond

LOW_WINDOW = 0.1  # of each side to either side of the centre: |f| <= 0.1 cycles a pixel, whatever the size


def spectrum(decoded: Decoded) -> dict[str, float]:
    """`fft_ratio` in percent and `spectrum_entropy` in [0, 1], from F = fft2(gray) without its zero frequency.

    fft_ratio: 100 sum |F|^2 outside of the window |f_x|, |f_y| <= 0.1 / sum |F|^2: by Parseval the share of the
    photo's variance in fine detail, so that neither brightness nor contrast counts. spectrum_entropy: Shannon
    entropy of |F| / sum |F| over the logarithm of the number of frequencies. Of amplitudes rather than energies:
    these tell sharp from blurred better (AUC 1.00 against .97 on crops of vehicles blurred with 2 pixels). Both
    are 0 where a photo has one colour. |F| below sqrt(H W) / 1024 counts as 0: a thousandth of what rounding to
    grey levels leaves, and 20 times the rounding of 32-bit floats.
    """
    import scipy.fft

    gray = decoded.gray
    height, width = gray.shape
    # The mean goes first: in 32 bits the zero frequency would drown the others.
    centred = np.subtract(gray, np.float32(cv2.mean(gray)[0]), dtype=np.float32)
    amplitude = np.abs(scipy.fft.rfft2(centred, workers=1))
    amplitude[0, 0] = 0
    _, amplitude = cv2.threshold(amplitude, np.sqrt(height * width) / 1024, 0, cv2.THRESH_TOZERO)
    energy = amplitude * amplitude
    # Columns 0 and W/2 of the half spectrum stand for themselves, each other one for its mirror image as well.
    weight = np.full(amplitude.shape[1], 2.0)
    weight[0] = 1
    if width % 2 == 0:
        weight[-1] = 1
    total = _sum(energy, weight)
    if total == 0:
        return {"fft_ratio": 0.0, "spectrum_entropy": 0.0}
    low_rows = np.abs(np.fft.fftfreq(height)) <= LOW_WINDOW
    low_columns = int((np.fft.rfftfreq(width) <= LOW_WINDOW).sum())
    high = _sum(energy[~low_rows], weight) + _sum(energy[low_rows, low_columns:], weight[low_columns:])
    entropy = _entropy(amplitude, weight, height * width - 1)
    return {"fft_ratio": 100 * high / total, "spectrum_entropy": entropy}


def _sum(values: np.ndarray, weight: np.ndarray) -> float:
    return float(values.sum(axis=0, dtype=np.float64) @ weight)


def _entropy(amplitude: np.ndarray, weight: np.ndarray, frequencies: int) -> float:
    """-sum p log2 p / log2 n with p = a / S, as log2 S - sum a log2 a / S: one pass and no division."""
    if frequencies < 2:
        return 0.0
    total = _sum(amplitude, weight)
    # log2 of the smallest float instead of 0, where a log a is 0
    logarithm = np.log2(np.maximum(amplitude, np.finfo(np.float32).tiny))
    logarithm *= amplitude
    return float(np.clip((np.log2(total) - _sum(logarithm, weight) / total) / np.log2(frequencies), 0, 1))


def fft_ratio(
    photos: PhotoTable, *, threshold: float = 1.5, percentile: float | None = None, max_share: float = 1 / 3
) -> Findings:
    """Photos with less than `threshold` percent of their energy at high frequencies, or the lowest `percentile`.

    1.5 flags 1.2% of sharp photos of groceries and none of vehicles, and 94% and 82% of the same blurred with a
    Gaussian of 2 pixels.
    """
    limit = Limit("threshold", threshold, "blurred", "below", 0.0, 100.0, lambda value, digits: f"{value:.{digits}g}%")
    values = photos.column("fft_ratio")
    return findings_beyond(photos, "fft_ratio", "high-frequency energy", values, [limit], percentile, max_share)


def spectrum_entropy(
    photos: PhotoTable, *, threshold: float = 0.8, percentile: float | None = None, max_share: float = 1 / 3
) -> Findings:
    """Photos whose spectrum is less even than `threshold`, or the lowest `percentile` percent.

    0.8 flags 0.6% of sharp photos of groceries and none of vehicles, and all of both (99.6%) once they are blurred
    with a Gaussian of 2 pixels.
    """
    limit = Limit("threshold", threshold, "blurred", "below", 0.0, 1.0)
    values = photos.column("spectrum_entropy")
    return findings_beyond(photos, "spectrum_entropy", "spectrum entropy", values, [limit], percentile, max_share)
