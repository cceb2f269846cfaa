"""Embeddings of a collection's photos, remembered by their content."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from siamclip.embedding.distinct import embed_distinct
from siamclip.embedding.store import EmbeddingStore

if TYPE_CHECKING:
    from siamclip.embedding.embedder import Embedder

BLOCK = 512  # photos between two saves, and two steps of the bar


def embed_photos(
    embedder: Embedder,
    root: Path,
    paths: Sequence[str],
    cache: Path | None,
    advance: Callable[[int], Any] = lambda done: None,
) -> tuple[np.ndarray, dict[str, str]]:
    """float32 (N, dimension) of photos below `root`, and path -> reason of those that cannot be read (rows of NaN).

    `cache`: folder of an EmbeddingStore; None: nothing is kept. `advance` is called with the number of photos done
    since its last call.
    """
    store = EmbeddingStore(cache, embedder.fingerprint, embedder.dimension)
    vectors = np.empty((len(paths), embedder.dimension), np.float32)
    unreadable = {}
    for start in range(0, len(paths), BLOCK):
        block = paths[start : start + BLOCK]
        vectors[start : start + len(block)], errors = embed_distinct(embedder, [root / path for path in block], store)
        unreadable |= {block[i]: error.reason for i, error in sorted(errors.items())}
        advance(len(block))
    return vectors, unreadable


class EvenBatches:
    """Embeds in batches of one size (the last photo is repeated where there are fewer), so that an embedding's last
    bits do not depend on how many photos happen to be asked for together."""

    def __init__(self, embedder: Embedder, size: int) -> None:
        self._embedder, self._size = embedder, size

    def embed(self, photos: Sequence[np.ndarray]) -> np.ndarray:
        """uint8 (H, W, 3) RGB each -> float32 (N, dimension) of unit length."""
        parts = []
        for start in range(0, len(photos), self._size):
            batch = list(photos[start : start + self._size])
            padded = batch + batch[-1:] * (self._size - len(batch))
            parts.append(self._embedder.embed(padded)[: len(batch)])
        return np.concatenate(parts)
