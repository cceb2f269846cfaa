"""The photos of each folder as runs of one sorted array."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from siamclip.cleaning.consistency.neighbours import embeddings_of, usable_rows
from siamclip.cleaning.contracts import PhotoTable


@dataclass(frozen=True)
class Folders:
    """Photos with an embedding and a label, sorted by label, then by content. Positions count in that order.

    rows: (M,) int64 into `PhotoTable`; vectors: (M, D) float32; labels: (M,); starts: (F,), sizes: (F,) of each folder.
    """

    rows: np.ndarray
    vectors: np.ndarray
    labels: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray

    def members(self, least: int = 1) -> Iterator[np.ndarray]:
        """Positions of each folder with at least `least` photos."""
        for start, size in zip(self.starts.tolist(), self.sizes.tolist(), strict=True):
            if size >= least:
                yield np.arange(start, start + size)


def folders_of(photos: PhotoTable) -> Folders:
    """Raises UserError where the scan has no embeddings."""
    rows = usable_rows(photos)
    rows = rows[photos.labels[rows] >= 0]
    rows = rows[np.argsort(photos.labels[rows], kind="stable")]
    labels = photos.labels[rows]
    starts = np.flatnonzero(np.diff(labels, prepend=-1))
    sizes = np.diff(np.append(starts, len(labels)))
    return Folders(rows, embeddings_of(photos, rows), labels, starts, sizes)
