"""Edited copies: photos whose perceptual hashes differ in few bits. hashes.py makes them, hash_search.py finds them.

A hash says nothing of a photo that has no structure: of flat ones every bit is rounding noise or zero, and they would
all match each other. So photos below FLAT and hashes of nothing but zeros or ones never match.
"""

from __future__ import annotations

import numpy as np

from siamclip.cleaning.contracts import CopyPairs, PhotoTable
from siamclip.cleaning.duplicates.cosine.cosine_search import NearPairs
from siamclip.cleaning.duplicates.cosine.value_groups import expanded
from siamclip.cleaning.duplicates.groups.keepers import preferred
from siamclip.cleaning.duplicates.hashing.hash_search import hash_pairs_between, hash_pairs_within
from siamclip.errors import UserError

# Standard deviation, in grey levels, of the photo at 32 x 32 pixels. Flat images with noise of 10 grey levels have up
# to 0.6 at 348 x 348 pixels and 1.7 at 100 x 140. Of 1,543 photos of vehicles, groceries and scenes the lowest had
# 3.5, the next one 10.9.
FLAT = 2.0
_ALL_ONES = np.uint64(2**64 - 1)


def phash(photos: PhotoTable, *, threshold: int = 5, orientations: bool = False) -> CopyPairs:
    """Pairs at most `threshold` of 64 bits apart; with `orientations` in the nearest of the eight orientations."""
    return _near(photos, "phash", 8, threshold, orientations)


def ahash(photos: PhotoTable, *, threshold: int = 5, orientations: bool = False) -> CopyPairs:
    """As `phash`, of the hash of means."""
    return _near(photos, "ahash", 8, threshold, orientations)


def dhash(photos: PhotoTable, *, threshold: int = 5, orientations: bool = False) -> CopyPairs:
    """As `phash`, of the hash of differences."""
    return _near(photos, "dhash", 8, threshold, orientations)


def whash(photos: PhotoTable, *, threshold: int = 5, orientations: bool = False) -> CopyPairs:
    """As `phash`, of the wavelet hash."""
    return _near(photos, "whash", 8, threshold, orientations)


def phash16(photos: PhotoTable, *, threshold: int = 20) -> CopyPairs:
    """Pairs at most `threshold` of 256 bits apart."""
    return _near(photos, "phash", 16, threshold, False)


def ahash16(photos: PhotoTable, *, threshold: int = 20) -> CopyPairs:
    """As `phash16`, of the hash of means."""
    return _near(photos, "ahash", 16, threshold, False)


def dhash16(photos: PhotoTable, *, threshold: int = 20) -> CopyPairs:
    """As `phash16`, of the hash of differences."""
    return _near(photos, "dhash", 16, threshold, False)


def whash16(photos: PhotoTable, *, threshold: int = 20) -> CopyPairs:
    """As `phash16`, of the wavelet hash."""
    return _near(photos, "whash", 16, threshold, False)


def _near(photos: PhotoTable, name: str, side: int, threshold: int, oriented: bool) -> CopyPairs:
    """Distances are Hamming distances in bits. Raises UserError for a threshold at which unrelated photos match."""
    method = name if side == 8 else f"{name}{side}"
    largest = side * side // 4  # of unrelated photos half the bits differ
    if not 0 <= threshold <= largest:
        raise UserError(
            "set", f"must be from 0 to {largest} bits of {side * side}", value=f"{method}.threshold={threshold}"
        )
    column = f"{name}{side}"
    if oriented:
        column += "_oriented"
        if column not in photos.columns:
            raise UserError(
                "set", f"the scan holds no {column!r}", "scan again with `orientations`", f"{method}.orientations=true"
            )
    hashes = photos.column(column)
    hashes = hashes[:, None] if hashes.ndim == 1 else hashes
    flat = photos.column("hash_contrast") < FLAT
    informative = photos.readable & ~flat & _has_information(hashes[:, :1] if oriented else hashes)
    value = np.full(len(photos), -1, np.int64)
    values, value[informative] = _distinct(hashes[informative])
    asks = np.zeros(len(values), bool)  # values that a photo outside the archive has
    asks[value[informative & ~photos.is_archived]] = True
    near = _oriented(values, asks, threshold) if oriented else _upright(values, asks, threshold)
    found = expanded(value, near, photos.labels, preferred(photos), photos.is_archived)
    notes: dict[str, str | float | int] = {
        "distinct hashes": len(values),
        "photos without structure, left out": int((photos.readable & ~informative).sum()),
    }
    return CopyPairs(method, found.first, found.second, found.distance, notes=notes)


def _has_information(hashes: np.ndarray) -> np.ndarray:
    """(N,) bool, of (N, W) uint64: some bits are set and some are not."""
    return (hashes != 0).any(axis=1) & (hashes != _ALL_ONES).any(axis=1)


def _distinct(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct rows of (N, W) uint64, and (N,) int64 which of them each row is."""
    order = np.lexsort(rows.T)
    changes = np.append(True, (np.diff(rows[order], axis=0) != 0).any(axis=1))[: len(rows)]
    number = np.empty(len(rows), np.int64)
    number[order] = np.cumsum(changes) - 1
    return rows[order[changes]], number


def _upright(values: np.ndarray, asks: np.ndarray, threshold: int) -> NearPairs:
    """Near values of which at least one asks."""
    new, old = np.flatnonzero(asks), np.flatnonzero(~asks)
    first, second, distance = hash_pairs_within(values[new], threshold)
    across, other, farther = hash_pairs_between(values[new], values[old], threshold)
    return NearPairs(
        np.concatenate([new[first], new[across]]),
        np.concatenate([new[second], old[other]]),
        np.concatenate([distance, farther]).astype(np.float32),
    )


def _oriented(values: np.ndarray, asks: np.ndarray, threshold: int) -> NearPairs:
    """Values (N, 8): the first of one near any of the other, in either direction, with the smallest distance."""
    new, old = np.flatnonzero(asks), np.flatnonzero(~asks)
    sides = ((new, np.arange(len(values))), (old, new))
    parts = [_turned_against(values, queries, archive, threshold) for queries, archive in sides]
    first, second, distance = (np.concatenate(column) for column in zip(*parts, strict=True))
    first, second = np.minimum(first, second), np.maximum(first, second)
    order = np.lexsort((distance, second, first))
    order = order[first[order] != second[order]]
    nearest = np.append(True, (np.diff(first[order]) != 0) | (np.diff(second[order]) != 0))[: len(order)]
    order = order[nearest]
    return NearPairs(first[order], second[order], distance[order].astype(np.float32))


def _turned_against(
    values: np.ndarray, queries: np.ndarray, archive: np.ndarray, threshold: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(query, archive, distance) of each orientation of the queries near the upright hash of the archive."""
    turned, which = np.unique(values[queries].reshape(-1), return_inverse=True)
    upright, of_archive = np.unique(values[archive, 0], return_inverse=True)
    first, second, distance = hash_pairs_between(turned, upright, threshold)
    left = _Lists(which.reshape(-1), np.repeat(queries, values.shape[1]), len(turned))
    right = _Lists(of_archive.reshape(-1), archive, len(upright))
    sizes = left.count[first] * right.count[second]
    pair = np.repeat(np.arange(len(first)), sizes)
    place = np.arange(len(pair)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    one, other = np.divmod(place, np.maximum(right.count[second], 1)[pair])
    return left.items[left.start[first[pair]] + one], right.items[right.start[second[pair]] + other], distance[pair]


class _Lists:
    """`items` by their `key` in 0..number - 1."""

    def __init__(self, key: np.ndarray, items: np.ndarray, number: int) -> None:
        self.items = items[np.argsort(key, kind="stable")]
        self.count = np.bincount(key, minlength=number)
        self.start = np.cumsum(self.count) - self.count
