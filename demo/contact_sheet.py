"""Many pictures on one, in rows and columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from siamclip.errors import UserError


def contact_sheet(
    paths: Sequence[Path], out: Path, columns: int, *, cell: int = 128, gap: int = 3, quality: int = 82
) -> None:
    """Writes the pictures row by row, `columns` a row, each fitted into a square of `cell` pixels, `gap`
    apart.

    Give all sightings of one vehicle after another, and a row is a vehicle. The ending of `out` names the
    format; `quality` is that of a JPEG. UserError for a picture that cannot be read, no pictures, or an
    unknown ending.
    """
    if not paths or columns < 1:
        raise UserError("", f"{out}: a contact sheet needs at least one picture and one column")
    rows = -(-len(paths) // columns)
    step = cell + gap
    sheet = np.full((rows * step + gap, columns * step + gap, 3), 245, np.uint8)
    for number, path in enumerate(paths):
        # Not imread: on Windows it knows no Chinese paths.
        image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            raise UserError("", f"{path} is not a picture that can be read")
        scale = cell / max(image.shape[:2])
        size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
        fitted = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        top = gap + number // columns * step + (cell - size[1]) // 2
        left = gap + number % columns * step + (cell - size[0]) // 2
        sheet[top : top + size[1], left : left + size[0]] = fitted
    out = Path(out)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if out.suffix.lower() in (".jpg", ".jpeg") else []
    try:
        _, data = cv2.imencode(out.suffix, sheet, options)
    except cv2.error:
        raise UserError("", f"{out}: give a name that ends in .jpg or .png") from None
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(data.tobytes())
