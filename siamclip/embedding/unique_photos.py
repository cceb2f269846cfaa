"""Embed photos by their content: each once however often it comes, and only those that a store does not know."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import xxhash

from siamclip.data.image.decode import content_hash, to_rgb
from siamclip.embedding.embedder import Embedder, Photo
from siamclip.embedding.store import EmbeddingStore
from siamclip.errors import ImageError


def embed_unique(
    embedder: Embedder, photos: Sequence[Photo], store: EmbeddingStore
) -> tuple[np.ndarray, dict[int, ImageError]]:
    """float32 (N, dimension), and index -> error of the files that cannot be read, whose rows are NaN.

    Afterwards the store knows all that could be read. Equal contents have equal rows, bit for bit. Raises
    ImageError for a photo in memory that cannot be used.
    """
    with ThreadPoolExecutor(embedder.workers) as pool:
        keys = list(pool.map(_content_key, photos))
    errors = {i: key for i, key in enumerate(keys) if isinstance(key, ImageError)}
    unique = {key: photo for key, photo in zip(keys, photos, strict=True) if isinstance(key, str)}
    _, known = store.get(list(unique))
    new = [item for item, is_known in zip(unique.items(), known, strict=True) if not is_known]

    in_memory = [(key, photo) for key, photo in new if not isinstance(photo, (str, os.PathLike))]
    store.add([key for key, _ in in_memory], embedder.embed([photo for _, photo in in_memory]))
    files = [(key, Path(photo)) for key, photo in new if isinstance(photo, (str, os.PathLike))]
    vectors, failures = embedder.embed_files([path for _, path in files])
    store.add([key for key, _ in files], vectors)

    broken = {files[i][0]: reason for i, reason in failures.items()}
    for i, (key, photo) in enumerate(zip(keys, photos, strict=True)):
        if isinstance(key, str) and key in broken and isinstance(photo, (str, os.PathLike)):
            errors[i] = ImageError(broken[key], os.fspath(photo))
    rows = np.full((len(photos), embedder.dimension), np.nan, np.float32)
    readable = [i for i in range(len(photos)) if i not in errors]
    rows[readable] = store.get([str(keys[i]) for i in readable])[0]
    return rows, errors


def _content_key(photo: Photo) -> str | ImageError:
    """Equal for equal content. The error of a file stands in its place; that of a photo in memory is raised."""
    if isinstance(photo, (str, os.PathLike)):
        try:
            return content_hash(photo)
        except ImageError as error:
            return error
    if isinstance(photo, bytes):
        return xxhash.xxh3_128_hexdigest(photo)
    pixels = np.ascontiguousarray(to_rgb(photo))
    return xxhash.xxh3_128_hexdigest(f"pixels {pixels.shape}".encode() + pixels.tobytes())
