"""Small collections with embeddings: unit vectors around a few centres."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from siamclip.cleaning.contracts import NO_LABEL, PhotoTable


def unit(vectors: np.ndarray) -> np.ndarray:
    """float32 rows of length one."""
    vectors = np.asarray(vectors, np.float64)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def around(centre: np.ndarray, number: int, spread: float, rng: np.random.Generator) -> np.ndarray:
    """`number` unit vectors about `spread` away from `centre`."""
    return unit(centre + rng.normal(0, spread / len(centre) ** 0.5, (number, len(centre))))


def embedded(vectors: np.ndarray, folders: list[str] | None = None, archived: np.ndarray | None = None) -> PhotoTable:
    """One row a vector; those with a NaN could not be read. Without `folders` the collection is flat."""
    number = len(vectors)
    names = sorted(set(folders)) if folders else []
    unreadable = np.isnan(vectors).any(axis=1)
    return PhotoTable(
        Path("/photos"),
        [f"{folders[i] + '/' if folders else ''}{i:05}.jpg" for i in range(number)],
        np.array([f"{i * 7919 % 100003:032x}".encode() for i in range(number)], "S32"),
        np.ones(number, np.int64),
        ["cannot be decoded" if bad else "" for bad in unreadable],
        np.array([names.index(folder) for folder in folders] if folders else [NO_LABEL] * number, np.int64),
        names,
        embeddings=np.asarray(vectors, np.float32),
        archived=archived,
    )


def permuted(photos: PhotoTable, to: np.ndarray) -> PhotoTable:
    """Row i of the result is row `to[i]` of `photos`; embeddings, content and labels go along."""
    assert photos.embeddings is not None
    return PhotoTable(
        photos.root,
        [photos.paths[i] for i in to],
        photos.content[to],
        photos.bytes[to],
        [photos.errors[i] for i in to],
        photos.labels[to],
        photos.identities,
        embeddings=photos.embeddings[to],
        archived=None if photos.archived is None else photos.archived[to],
    )


OUTLIERS = 4


def crowd_and_outliers(seed: int = 0, number: int = 200) -> np.ndarray:
    """Two crowds, and OUTLIERS lone vectors at the end, far from both and from each other."""
    rng = np.random.default_rng(seed)
    axes = np.eye(16)
    crowds = [around(axes[side], number // 2, 0.4, rng) for side in (0, 1)]
    return np.vstack([*crowds, unit(axes[8 : 8 + OUTLIERS])])
