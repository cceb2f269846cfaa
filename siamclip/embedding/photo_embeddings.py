"""Embeddings of a collection's photos, remembered by their content."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from siamclip.embedding.embedder import Embedder, open_embedder
from siamclip.embedding.store import EmbeddingStore
from siamclip.embedding.unique_photos import embed_unique
from siamclip.errors import UserError, settings_called
from siamclip.models.checkpoint import METADATA

BLOCK = 512  # photos between two saves, and two steps of the bar


def open_for_pairs(name: str, checkpoints: Path, weights: str | None, **settings: Any) -> Embedder:
    """As `open_embedder`, for a script that calls the name `embedder`. Raises UserError; where there is no checkpoint,
    with the ways to get an embedder."""
    with settings_called(checkpoint="embedder"):
        if name == "newest" and not any(checkpoints.glob(f"*/best/{METADATA}")):
            raise UserError(
                "embedder",
                f"there is no checkpoint in `checkpoint_dir` {checkpoints}",
                "train one with train.py, name the folder that holds one, or take a pretrained model as it is: "
                "`embedder` resnet50, ViT-B/32, efficientnet-lite0",
                name,
            )
        return open_embedder(name, checkpoints, weights, **settings)[0]


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
    unreadable: dict[str, str] = {}
    for start in range(0, len(paths), BLOCK):
        block = paths[start : start + BLOCK]
        vectors[start : start + len(block)], errors = embed_unique(embedder, [root / path for path in block], store)
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
