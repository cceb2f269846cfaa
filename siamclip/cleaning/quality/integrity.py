"""Integrity: files that do not decode, and files that are not quite what they seem.

Only the first kind is proposed for removal. Nothing is wrong with the picture of the others: whoever reads them with
other tools may want to know.
"""

from __future__ import annotations

from pathlib import PurePosixPath

import numpy as np

from siamclip.cleaning.contracts import Findings, PhotoTable, findings
from siamclip.cleaning.decoded import Decoded

SUFFIXES: dict[str, tuple[str, ...]] = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
}
# EXIF 2.32, 4.6.4: what brings the stored picture upright.
ORIENTATIONS = {
    2: "mirroring",
    3: "a turn by 180 degrees",
    4: "mirroring top to bottom",
    5: "mirroring along the main diagonal",
    6: "a turn by 90 degrees clockwise",
    7: "mirroring along the other diagonal",
    8: "a turn by 90 degrees counter-clockwise",
}
COLOUR_SPACES = {
    "1": "black and white",
    "L": "grey",
    "LA": "grey",
    "P": "a palette",
    "CMYK": "CMYK",
    "YCbCr": "YCbCr",
    "LAB": "LAB",
    "F": "grey in floating point",
}


def describe(decoded: Decoded) -> dict[str, str | int | bool]:
    """The header's fields: format and mode as Pillow names them, upright size in pixels, frames, orientation 1-8."""
    header = decoded.header
    return {
        "format": header.format,
        "mode": header.mode,
        "width": header.width,
        "height": header.height,
        "frames": header.frames,
        "orientation": header.orientation,
        "has_alpha": header.has_alpha,
        "has_profile": header.has_profile,
        "bits": header.bits,
    }


def unreadable(photos: PhotoTable) -> Findings:
    """Files that do not decode; score 1. Those whose bytes could not even be read, and those that are merely too
    large to decode, may be good photos: they are shown and kept."""
    rows = np.flatnonzero(~photos.readable & ~photos.is_archived)
    kinds = [_kind(photos.errors[row], photos.content[row]) for row in rows]
    reasons = [f"{kind}: {photos.errors[row]}" for kind, row in zip(kinds, rows, strict=True)]
    keep = np.array([kind in (_CANNOT_OPEN, _TOO_LARGE) for kind in kinds], bool)
    return findings("unreadable", rows, np.ones(len(rows)), reasons, keep=keep)


_CANNOT_OPEN = "cannot be opened"
_TOO_LARGE = "too large"


def _kind(error: str, content: bytes) -> str:
    """In words, from the decoder's reasons (siamclip/image.py, and Pillow's below it)."""
    if not content:  # the bytes themselves could not be hashed
        return _CANNOT_OPEN
    if error == "the file is empty":
        return "empty"
    if error.startswith("not a JPEG"):
        return "not an image"
    if "over the limit" in error:
        return _TOO_LARGE
    return "truncated" if "truncated" in error.lower() else "damaged"


def wrong_extension(photos: PhotoTable) -> Findings:
    """Files whose name promises another format; score 1."""
    formats = photos.column("format")
    suffixes = [PurePosixPath(path).suffix.lower() for path in photos.paths]
    wrong = [suffix not in SUFFIXES.get(str(f), ()) for suffix, f in zip(suffixes, formats, strict=True)]
    rows = np.flatnonzero(_judged(photos) & np.array(wrong, bool))
    reasons = [f"a {formats[row]} file named {suffixes[row] or 'without a suffix'}" for row in rows]
    return findings("wrong_extension", rows, np.ones(len(rows)), reasons, keep=True)


def animated(photos: PhotoTable) -> Findings:
    """Files with several frames or pages, of which the first is used; score: their number."""
    frames = photos.column("frames")
    rows = np.flatnonzero(_judged(photos) & (frames > 1))
    reasons = [f"animated: {frames[row]:,} frames or pages, only the first is used" for row in rows]
    return findings("animated", rows, frames[rows], reasons, keep=True)


def alpha(photos: PhotoTable) -> Findings:
    """Files with transparency, which is read as white; score 1."""
    rows = np.flatnonzero(_judged(photos) & photos.column("has_alpha"))
    reasons = ["transparency, which is read as white"] * len(rows)
    return findings("alpha", rows, np.ones(len(rows)), reasons, keep=True)


def colour_space(photos: PhotoTable) -> Findings:
    """Files that do not hold 8 bits of RGB a sample: grey, palette, CMYK, LAB, 1 or 16 bits; score: bits a sample."""
    modes, bits = photos.column("mode"), photos.column("bits")
    profiles = photos.column("has_profile")
    odd = ~np.isin(modes, ("RGB", "RGBA", "RGBX")) | (bits != 8)
    rows = np.flatnonzero(_judged(photos) & odd)
    reasons = [_colour_words(str(modes[row]), int(bits[row]), bool(profiles[row])) for row in rows]
    return findings("colour_space", rows, bits[rows], reasons, keep=True)


def _colour_words(mode: str, bits: int, has_profile: bool) -> str:
    words = COLOUR_SPACES.get(mode, "grey" if mode.startswith("I") else mode)
    depth = f" of {bits} bits a sample" if bits not in (1, 8) else ""
    profile = ", with an embedded profile that is ignored" if has_profile else ""
    return f"colour space: {words}{depth}{profile}, read as RGB of 8 bits"


def orientation(photos: PhotoTable) -> Findings:
    """Files whose EXIF flag says that the picture is stored turned or mirrored; score: the flag, 2-8."""
    flags = photos.column("orientation")
    rows = np.flatnonzero(_judged(photos) & (flags > 1))
    reasons = [f"orientation flag {flags[row]}: upright after {ORIENTATIONS[int(flags[row])]}" for row in rows]
    return findings("orientation", rows, flags[rows], reasons, keep=True)


def _judged(photos: PhotoTable) -> np.ndarray:
    return photos.readable & ~photos.is_archived
