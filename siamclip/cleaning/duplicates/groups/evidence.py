"""What kind of likeness each duplicate method sees, for the rules that depend on it and for people."""

from __future__ import annotations

from siamclip.cleaning.method_table import METHODS

# Their pairs are the same photo beyond doubt, and a copy of a copy is a copy.
IDENTICAL = ("exact", "pixels")


def is_semantic(method: str) -> bool:
    """Whether the method compares what photos show, so that another photo of the same vehicle may be near."""
    return method in METHODS and "embedding" in METHODS[method].needs


def in_words(method: str, distance: float, inliers: int = -1) -> str:
    """ "Hamming distance 3 of 64 (phash), 57 matching points"."""
    if method in IDENTICAL:
        words = METHODS[method].does
    elif method in METHODS and "perceptual16" in METHODS[method].needs:
        words = f"Hamming distance {distance:.0f} of 256"
    elif method in METHODS and "perceptual" in METHODS[method].needs:
        words = f"Hamming distance {distance:.0f} of 64"
    elif is_semantic(method):
        words = f"embedding distance {distance:.3f}"
    else:
        words = f"distance {distance:.4g}"
    return f"{words} ({method})" + (f", {inliers} matching points" if inliers >= 0 else "")
