"""Photos that are the same: file for file, or pixel for pixel in another file (another format, other metadata)."""

from __future__ import annotations

import numpy as np
import xxhash

from siamclip.cleaning.contracts import CopyPairs, PhotoTable
from siamclip.cleaning.decoded import Decoded
from siamclip.cleaning.duplicates.cosine.cosine_search import NearPairs
from siamclip.cleaning.duplicates.cosine.value_groups import expanded
from siamclip.cleaning.duplicates.groups.keepers import preferred


def pixel_hash(decoded: Decoded) -> dict[str, bytes]:
    """xxh3-128 in hexadecimal of the upright RGB pixels and their shape: 200 x 100 black is not 100 x 200 black."""
    digest = xxhash.xxh3_128(np.array(decoded.rgb.shape, "<i8").tobytes())
    digest.update(np.ascontiguousarray(decoded.rgb).data)
    return {"pixel_hash": digest.hexdigest().encode("ascii")}


def same_bytes(photos: PhotoTable) -> CopyPairs:
    """Pairs of files with the same bytes; the distance is 0. Unreadable files are no copies of each other."""
    return _equal("exact", photos, photos.content)


def same_pixels(photos: PhotoTable) -> CopyPairs:
    """Pairs of photos with the same size and the same pixels, once decoded and turned upright; the distance is 0."""
    return _equal("pixels", photos, photos.column("pixel_hash"))


def _equal(method: str, photos: PhotoTable, hashes: np.ndarray) -> CopyPairs:
    """`hashes`: (N,) "S32"; empty ones match nothing. A crowd of equal photos gives fewer pairs: value_groups.py."""
    known = photos.readable & (hashes != b"")
    value = np.full(len(photos), -1, np.int64)
    value[known] = np.unique(hashes[known], return_inverse=True)[1]
    nothing = np.empty(0, np.int64)
    near = NearPairs(nothing, nothing, np.empty(0, np.float32))
    found = expanded(value, near, photos.labels, preferred(photos), photos.is_archived)
    return CopyPairs(method, found.first, found.second, found.distance)
