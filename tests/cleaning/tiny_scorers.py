"""Scorers that cost nothing, and odd ones: they are loaded by name in the processes of a scan."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from siamclip.cleaning.decoded import Decoded
from siamclip.cleaning.method_table import Scorer

CALLS = "SIAMCLIP_TEST_CALLS"  # names a file that gets a line for every photo that `mean` sees

DEADLY = (7, 7, 7)  # the colour of the photo that kills a process
ODD_WIDTH = 13


def mean(decoded: Decoded) -> dict[str, float]:
    if CALLS in os.environ:
        with Path(os.environ[CALLS]).open("a", encoding="ascii") as file:
            file.write(f"{decoded.header.width}\n")
    return {"mean": float(decoded.rgb.mean())}


def kinds(decoded: Decoded) -> dict[str, object]:
    """One column of every kind that the method table knows."""
    height, width, _ = decoded.rgb.shape
    return {
        "four": np.arange(4, dtype=np.uint64) + np.uint64(2**63 + width),
        "name": decoded.header.format,
        "hash": f"{width:032x}",
        "wide": width > height,
        "width": width,
        "small": 3,
        "share": width / 1000,
    }


def deadly(decoded: Decoded) -> dict[str, float]:
    if tuple(decoded.rgb[0, 0]) == DEADLY:
        os._exit(9)  # as a segmentation fault in a decoder: nothing is cleaned up
    return {"alive": 1.0}


def odd(decoded: Decoded) -> dict[str, float]:
    if decoded.header.width == ODD_WIDTH:
        raise ZeroDivisionError("thirteen")
    return {"odd": 1.0}


class Brightest:
    """A scorer with a state."""

    def __init__(self, factor: float, version: str) -> None:
        self.factor, self.version = factor, version

    def __call__(self, decoded: Decoded) -> dict[str, float]:
        return {"brightest": self.factor * float(decoded.rgb.max())}


def _scorer(name: str, columns: dict[str, str], version: int = 1) -> Scorer:
    return Scorer(name, f"tests.cleaning.tiny_scorers:{name}", "", columns=columns, version=version)


MEAN = _scorer("mean", {"mean": "f8"})
MEAN_2 = _scorer("mean", {"mean": "f8"}, version=2)
KINDS = _scorer(
    "kinds",
    {"four": "(4,)u8", "name": "U", "hash": "S32", "wide": "?", "width": "i4", "small": "i1", "share": "f4"},
)
DEADLY_SCORER = _scorer("deadly", {"alive": "f8"})
ODD = _scorer("odd", {"odd": "f8"})
