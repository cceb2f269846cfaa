"""Photos of which some are copies of others, the distances between them, and true answers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from siamclip.cleaning.calibrate.calibrate import (
    Answer,
    Proposal,
)
from siamclip.cleaning.contracts import PhotoTable
from tests.cleaning.photo_tables import photos_of


def copies(originals: int = 60, others: int = 120) -> PhotoTable:
    """Each original has three copies of which each differs in a few bits; others are apart at random.

    Photo "a/12_1.jpg" is a copy of "a/12_0.jpg".
    """
    generator = np.random.default_rng(1)
    hashes, paths = [], []
    for number in range(originals):
        bits = generator.integers(0, 2, 64)
        for copy in range(4):
            flipped = bits ^ (generator.random(64) < 0.05 * (copy > 0))
            hashes.append(np.packbits(flipped).view(np.uint64)[0])
            paths.append(f"a/{number}_{copy}.jpg")
    hashes += list(generator.integers(0, 2**63, others, dtype=np.uint64))
    paths += [f"b/{number}.jpg" for number in range(others)]
    photos = photos_of(*paths, phash8=np.array(hashes, np.uint64), hash_contrast=np.full(len(paths), 30.0))
    vectors = generator.normal(size=(len(paths), 8))
    for row, path in enumerate(paths):  # copies are near
        if path.startswith("a/"):
            vectors[row] = vectors[row // 4 * 4] + 0.15 * generator.normal(size=8)
    photos.embeddings = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return photos


def hamming(photos: PhotoTable, a: int, b: int) -> float:
    return float(bin(int(photos.columns["phash8"][a]) ^ int(photos.columns["phash8"][b])).count("1"))


def euclidean(photos: PhotoTable, a: int, b: int) -> float:
    vectors = photos.vectors().astype(np.float64)
    return float(np.linalg.norm(vectors[a] - vectors[b]))


def truly_same(first: str, second: str) -> bool:
    return first.startswith("a/") and first.partition("_")[0] == second.partition("_")[0]


MEASURES: dict[str, tuple[Callable[[PhotoTable, int, int], float], float, float]] = {
    "phash": (hamming, 5.0, 16.0),
    "semantic": (euclidean, 0.4, 0.8),
}


def truth_of(proposal: Proposal) -> dict[str, Answer]:
    return {q.key: "same" if truly_same(q.first, q.second) else "different" for q in proposal.questions}
