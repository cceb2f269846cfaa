"""Embeddings of a collection's photos, remembered by their content."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from siamclip.data.collection import Collection
from siamclip.embedding.embedder import Embedder, open_embedder
from siamclip.embedding.store import EmbeddingStore
from siamclip.embedding.unique_photos import embed_unique
from siamclip.errors import UserError, settings_called
from siamclip.models.checkpoint import METADATA

BLOCK = 512  # photos between two saves, and two steps of the bar


@dataclass(frozen=True)
class EmbedderSource:
    """Whose embeddings say how alike two photos are."""

    name: str  # "newest", a checkpoint, or a pretrained model as it is
    checkpoints: Path  # where "newest" looks
    weights: str | None = None  # a local file for a pretrained model
    device: str = "auto"
    precision: str = "auto"
    batch_size: int = 16


def open_for_pairs(choice: EmbedderSource) -> Embedder:
    """As `open_embedder`. Raises UserError about `embedder`; where there is no checkpoint, it names the ways out."""
    if choice.name == "newest" and not any(choice.checkpoints.glob(f"*/best/{METADATA}")):
        remedy = (
            "train one with train.py, name the folder that holds one, or take a pretrained model as it is: `embedder` "
            "resnet50, ViT-B/32, efficientnet-lite0"
        )
        problem = f"there is no checkpoint in `checkpoint_dir` {choice.checkpoints}"
        raise UserError("embedder", problem, remedy, choice.name)
    settings: dict[str, Any] = {
        "device": choice.device, "precision": choice.precision, "batch_size": choice.batch_size,
    }  # fmt: skip
    with settings_called(checkpoint="embedder"):
        return open_embedder(choice.name, choice.checkpoints, choice.weights, **settings)[0]


def embed_collection(
    embedder: Embedder,
    collection: Collection,
    cache: Path | None,
    advance: Callable[[int], Any] = lambda done: None,
) -> tuple[np.ndarray, dict[str, str]]:
    """float32 (N, dimension) of the photos, and path -> reason of those that cannot be read (rows of NaN).

    `cache`: folder of an EmbeddingStore; None: nothing is kept. `advance` is called with the number of photos done
    since its last call.
    """
    store = EmbeddingStore(cache, embedder.fingerprint, embedder.dimension)
    vectors = np.empty((len(collection), embedder.dimension), np.float32)
    unreadable: dict[str, str] = {}
    for start in range(0, len(collection), BLOCK):
        paths = collection.paths[start : start + BLOCK]
        files = [collection.root / path for path in paths]
        vectors[start : start + len(paths)], errors = embed_unique(embedder, files, store)
        unreadable |= {paths[i]: error.reason for i, error in sorted(errors.items())}
        advance(len(paths))
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
