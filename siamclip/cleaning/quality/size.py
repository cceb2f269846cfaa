"""Size: photos with too few pixels, and photos that are too narrow or too wide."""

from __future__ import annotations

import numpy as np

from siamclip.cleaning.contracts import Findings, PhotoTable
from siamclip.cleaning.quality.thresholds import Limit, findings_beyond
from siamclip.errors import UserError


def too_small(
    photos: PhotoTable,
    *,
    min_width: int = 640,
    min_height: int = 480,
    percentile: float | None = None,
    max_share: float = 1 / 3,
) -> Findings:
    """Photos that are narrower than `min_width` or lower than `min_height`, in pixels of the upright photo.

    Score: the smaller of width / min_width and height / min_height; `percentile` flags the lowest by this number.
    """
    for name, value in (("min_width", min_width), ("min_height", min_height)):
        if value < 1:
            raise UserError("set", "must be at least 1", value=f"too_small.{name}={value}")
    widths, heights = photos.column("width"), photos.column("height")

    def size(ratio: float, _digits: int) -> str:
        return f"{np.ceil(ratio * min_width):.0f} x {np.ceil(ratio * min_height):.0f}"

    limit = Limit("min_width x min_height", 1.0, "too small", "below", text=size)
    return findings_beyond(
        photos,
        "too_small",
        "size",
        np.minimum(widths / min_width, heights / min_height),
        [limit],
        percentile,
        max_share,
        lambda row: f"{widths[row]} x {heights[row]} pixels",
    )


def aspect_ratio(
    photos: PhotoTable,
    *,
    minimum: float = 1 / 3,
    maximum: float = 3.0,
    percentile: float | None = None,
    max_share: float = 1 / 3,
) -> Findings:
    """Photos whose width / height lies outside of [minimum, maximum], or `percentile` percent, half at each end."""
    widths, heights = photos.column("width"), photos.column("height")
    limits = [
        Limit("minimum", minimum, "too narrow", "below", 0.0),
        Limit("maximum", maximum, "too wide", "above", 0.0),
    ]
    values = widths / np.maximum(heights, 1)
    return findings_beyond(
        photos,
        "aspect_ratio",
        "width / height",
        values,
        limits,
        percentile,
        max_share,
        lambda row: f"{widths[row]} x {heights[row]} pixels, width / height {values[row]:.4g}",
    )
