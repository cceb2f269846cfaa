"""Objects that are too small or too large in their photo, by boxes that were drawn around them."""

from __future__ import annotations

import numpy as np

from siamclip.cleaning.contracts import Findings, PhotoTable
from siamclip.cleaning.quality.annotations import read_annotations
from siamclip.cleaning.quality.thresholds import Limit, as_percent, findings_beyond
from siamclip.errors import UserError


def object_area(
    photos: PhotoTable,
    *,
    boxes: str | None = None,
    minimum: float = 0.001,
    maximum: float = 0.9,
    percentile: float | None = None,
    max_share: float = 1 / 3,
) -> Findings:
    """Photos whose largest box, cut at the photo's border, covers less than `minimum` or more than `maximum` of it.

    `boxes`: a folder of YOLO or VOC files, a COCO .json or a .csv (see annotations.py). Photos without a box are
    not judged; notes count them, and the photos that only the boxes know. Raises UserError for bad annotations.
    """
    if boxes is None:
        raise UserError("", "object_area needs boxes: `set` object_area.boxes=<YOLO or VOC folder, COCO .json or .csv>")
    found = read_annotations(boxes, photos)
    largest = np.full(len(photos), np.nan)
    np.fmax.at(largest, found.rows, found.areas)
    limits = [
        Limit("minimum", minimum, "object too small", "below", 0.0, 1.0, as_percent),
        Limit("maximum", maximum, "object too large", "above", 0.0, 1.0, as_percent),
    ]
    result = findings_beyond(photos, "object_area", "largest box covers", largest, limits, percentile, max_share)
    result.notes |= {
        "boxes": len(found.rows),
        "photos without a box": int((photos.readable & np.isnan(largest)).sum()),
        "unknown photos": found.unknown,
    }
    return result
