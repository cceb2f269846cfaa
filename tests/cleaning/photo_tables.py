"""Tables of photos without files behind them, for what works on tables alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from siamclip.cleaning.contracts import NO_LABEL, CopyPairs, PhotoTable


def photos_of(*paths: str, flat: bool = False, **given: Any) -> PhotoTable:
    """One row a path, of 100 x 100 pixels and as many bytes as its place; the first folder is the identity.

    `given`: `bytes`, `content` (text, a hash each), `errors`, `archived`, `sides` or a column, one entry a row.
    """
    number = len(paths)
    folders = [NO_LABEL if flat or "/" not in path else path.split("/")[0] for path in paths]
    identities = sorted({folder for folder in folders if isinstance(folder, str)})
    labels = [NO_LABEL if folder == NO_LABEL else identities.index(str(folder)) for folder in folders]
    content = given.pop("content", [f"{i:032x}" for i in range(number)])
    sides, archived = given.pop("sides", None), given.pop("archived", None)
    return PhotoTable(
        Path("/photos"),
        list(paths),
        np.array([text.encode() for text in content], "S32"),
        np.asarray(given.pop("bytes", np.arange(number)), np.int64),
        list(given.pop("errors", [""] * number)),
        np.array(labels, np.int64),
        identities,
        {"width": np.full(number, 100, "i4"), "height": np.full(number, 100, "i4")}
        | {name: np.asarray(values) for name, values in given.items()},
        archived=None if archived is None else np.asarray(archived, bool),
        sides=None if sides is None else np.asarray(sides, np.int8),
    )


def pairs_of(method: str, *pairs: tuple[int, int, float], inliers: list[int] | None = None) -> CopyPairs:
    """(one row, the other row, distance) each."""
    ordered = [(min(a, b), max(a, b), distance) for a, b, distance in pairs]
    return CopyPairs(
        method,
        np.array([pair[0] for pair in ordered], np.int64),
        np.array([pair[1] for pair in ordered], np.int64),
        np.array([pair[2] for pair in ordered], np.float32),
        None if inliers is None else np.array(inliers, np.int32),
    )


def permuted(photos: PhotoTable, to: np.ndarray) -> PhotoTable:
    """Row i of the result is row `to[i]` of `photos`."""
    return PhotoTable(
        photos.root,
        [photos.paths[i] for i in to],
        photos.content[to],
        photos.bytes[to],
        [photos.errors[i] for i in to],
        photos.labels[to],
        photos.identities,
        {name: values[to] for name, values in photos.columns.items()},
        archived=None if photos.archived is None else photos.archived[to],
        sides=None if photos.sides is None else photos.sides[to],
    )


def permuted_pairs(pairs: CopyPairs, to: np.ndarray) -> CopyPairs:
    """The same pairs of photos, by the rows of `permuted`, in another order."""
    place = np.argsort(to)
    first, second = place[pairs.first], place[pairs.second]
    order = np.argsort(np.maximum(first, second), kind="stable")
    return CopyPairs(
        pairs.method,
        np.minimum(first, second)[order],
        np.maximum(first, second)[order],
        pairs.distance[order],
        None if pairs.inliers is None else pairs.inliers[order],
        pairs.notes,
    )
