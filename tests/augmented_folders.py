"""Small output folders of augment.py, written as it writes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from siamclip.augmentation.contracts import MadeImage
from siamclip.augmentation.output.manifest import write_manifest
from siamclip.files.markers import MARKER


def blend(first: str, second: str, share: float = 0.5, rejected: str = "", suffix: str = "") -> MadeImage:
    """A row for an image of two photos, with the label that follows from their folders."""
    one, other = (path.split("/", 1)[0] for path in (first, second or first))
    label = {one: 1.0} if one == other else {one: share, other: 1 - share}
    parts = ["rejected" if rejected else "classes" if one == other else "cross_class", "+".join(label)]
    stem = "+".join(path.split("/", 1)[1].partition(".")[0] for path in (first, second) if path)
    return MadeImage(
        "/".join([*parts, f"{stem}{suffix}.linear.png"]),
        "linear",
        first,
        second,
        share,
        math.nan,
        label,
        0,
        "",
        rejected,
    )


def augmented_folder(out: Path, rows: Sequence[MadeImage], source: Path | None = None, side: int = 64) -> Path:
    """The images of `rows`, blended from their parents in `source` or gray without one, and the manifests."""
    for row in rows:
        (out / row.path).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((side, side, 3), 128.0)
        if source is not None:
            first, second = (
                np.asarray(Image.open(source / path).resize((side, side)), float)
                for path in (row.first, row.second or row.first)
            )
            pixels = row.ratio * first + (1 - row.ratio) * second
        Image.fromarray(pixels.astype(np.uint8)).save(out / row.path)
    (out / MARKER).write_text("{}", encoding="ascii")
    write_manifest(out, lambda: rows, ())
    return out
