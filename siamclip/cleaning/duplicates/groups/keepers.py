"""Which photo of a group of copies stays: one total order of all photos, by a stated rule.

Better is, the first difference decides:
 1. a photo of the archive (it can never be removed),
 2. one that can be read,
 3. one that no other method wants removed (a blurred photo is no reason to drop its sharp copy),
 4. one with a label, where others have none,
 5. one in a protected folder, in the order in which these are given,
 6. more pixels,
 7. twice the Laplacian variance or more, where the scan has it,
 8. more bytes,
 9. the shorter path ("a.jpg" before "a (1).jpg"), then the alphabet.

Sharpness counts in doublings, because artefacts of a recompression raise it: of 171 photos and their copies of the
same size at JPEG quality 75, 50 and 30, the original was preferred in 57, 36 and 67% by the plain value and in 95,
55 and 94% by doublings, then bytes; against a blur of 1 pixel it was in 99%. Copies that were made noisy, brighter
or stored as PNG look better than their original to this rule, as to any that has only the numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from siamclip.cleaning.contracts import NO_LABEL, PhotoTable
from siamclip.errors import UserError


def rank(photos: PhotoTable, protected: Sequence[str] = (), unwanted: np.ndarray | None = None) -> np.ndarray:
    """(N,) int64: the place of each photo in the order above, 0 is the best, no place twice.

    `protected`: folders, relative to the root. `unwanted`: (N,) bool, the photos of rule 3. The order of the
    rows, and so of the files on the disk, changes nothing. Raises UserError for a protected folder without photos.
    """
    number = len(photos)
    wanted = np.ones(number, bool) if unwanted is None else ~unwanted
    ascending = np.empty(number, np.int64)  # the place by path
    ascending[sorted(range(number), key=lambda row: (len(photos.paths[row]), photos.paths[row]))] = np.arange(number)
    order = np.lexsort(
        (
            ascending,
            -photos.bytes,
            -_sharpness(photos),
            -_pixels(photos),
            _place_of_folder(photos, protected),
            photos.labels == NO_LABEL,
            ~wanted,
            ~photos.readable,
            ~photos.is_archived,
        )
    )
    place = np.empty(number, np.int64)
    place[order] = np.arange(number)
    return place


def preferred(photos: PhotoTable) -> np.ndarray:
    """(N,) int64: `photos.preference`, or the order that needs no settings."""
    return rank(photos) if photos.preference is None else photos.preference


def in_folders(photos: PhotoTable, folders: Sequence[str]) -> np.ndarray:
    """(N,) bool: lies in one of these folders (relative to the root) or below it; "a" does not hold "ab/1.jpg".

    Raises UserError for a folder without photos: a mistyped name would protect nothing.
    """
    return _place_of_folder(photos, folders) < len(folders)


def _place_of_folder(photos: PhotoTable, folders: Sequence[str]) -> np.ndarray:
    """(N,) int64: the first of the folders that holds the photo; their number where none does."""
    place = np.full(len(photos), len(folders), np.int64)
    for number, folder in enumerate(folders):
        prefix = _prefix(folder, photos.root)
        inside = np.array([path.startswith(prefix) for path in photos.paths], bool) & ~photos.is_archived
        if not inside.any():
            raise UserError(
                "protected", "no photo lies in that folder", f"give folders relative to {photos.root}", folder
            )
        place[inside & (place == len(folders))] = number
    return place


def _prefix(folder: str, root: Path) -> str:
    """What the paths in `folder` begin with; "" for the root itself."""
    path = Path(folder)
    if path.is_absolute() and path.is_relative_to(root.absolute()):
        path = path.relative_to(root.absolute())
    return "".join(f"{part}/" for part in path.parts)


def _pixels(photos: PhotoTable) -> np.ndarray:
    """(N,) int64, 0 where the scan does not say."""
    if not {"width", "height"} <= photos.columns.keys():
        return np.zeros(len(photos), np.int64)
    return photos.column("width").astype(np.int64) * photos.column("height").astype(np.int64)


def _sharpness(photos: PhotoTable) -> np.ndarray:
    """(N,) float64: doublings of the Laplacian variance, rounded down; -inf where it is 0 or unknown."""
    if "laplacian_variance" not in photos.columns:
        return np.zeros(len(photos))
    variance = np.nan_to_num(photos.column("laplacian_variance").astype(np.float64), nan=0.0)
    doublings = np.full(len(photos), -np.inf)
    np.log2(variance, out=doublings, where=variance > 0)
    return np.floor(doublings)
